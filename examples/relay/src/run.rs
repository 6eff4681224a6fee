//! `relay run`.

use crate::{Failure, money};
use coinfuse::config::{RelayConfig, bootstrap_line};
use coinfuse::keys::MasterSeed;
use coinfuse::node::{ControlServer, OwnMint, RelayNode, open_treasury};
use coinfuse::{logging, raise_open_files};
use std::sync::Arc;

/// So many files and sockets a relay may need at once, and more as an exit.
const ENOUGH_FILES: u64 = 4096;

/// Runs until Ctrl-C or SIGTERM.
pub(crate) async fn run(config: &RelayConfig, seed: &MasterSeed) -> Result<(), Failure> {
    let stop = stop_signal()?;
    logging::init(config.log.into(), "relay").map_err(Failure::failed)?;
    if let Some(files) = raise_open_files().filter(|files| *files < ENOUGH_FILES) {
        tracing::warn!(
            "this process may have only {files} files and sockets open: see `ulimit -n`"
        );
    }
    let (mint, own_mint) = OwnMintThread::start(config, seed).await?;
    let node = RelayNode::start(config, seed, own_mint)
        .await
        .map_err(Failure::failed)?;
    let treasury = open_treasury(config, seed, &node)
        .await
        .map_err(Failure::failed)?;
    let (node, treasury) = (Arc::new(node), Arc::new(treasury));
    // Before the line that says so: who reads it may ask at once.
    let door = open_door(config);
    println!("{}", node.descriptor().map_err(Failure::failed)?);
    if let Some(discovery) = node.discovery() {
        println!("{}", bootstrap_line(discovery.addresses()));
    }
    tracing::info!(
        "the relay {} listens on UDP {}; Ctrl-C stops it",
        node.relay().id(),
        node.relay().address()
    );
    tokio::select! {
        () = stop => {}
        () = answer_questions(door, &node, &treasury) => {}
    }
    tracing::info!("stopping");
    if let Some(node) = Arc::into_inner(node) {
        node.shutdown().await;
    }
    if let Some(treasury) = Arc::into_inner(treasury) {
        treasury.shutdown().await;
    }
    mint.stop().await;
    Ok(())
}

/// For `relay earnings`, `relay settle` and the like while this runs.
fn open_door(config: &RelayConfig) -> Option<ControlServer> {
    let door = ControlServer::open(&config.data_dir);
    door.inspect_err(|error| {
        tracing::warn!("`relay earnings` will not work while this runs: {error}");
    })
    .ok()
}

async fn answer_questions(
    door: Option<ControlServer>,
    node: &Arc<RelayNode>,
    treasury: &Arc<coinfuse::treasury::Treasury>,
) {
    let Some(door) = door else {
        return std::future::pending().await;
    };
    door.serve(|question, lines| {
        let (node, treasury) = (Arc::clone(node), Arc::clone(treasury));
        async move {
            let answer = money::answer(&question, &node, &treasury).await;
            // Nobody waits for it any more if this fails.
            let _ = lines.send(answer.to_string()).await;
        }
    })
    .await;
}

/// The mint inside the relay, if there is one.
struct OwnMintThread {
    #[cfg(feature = "mint")]
    thread: Option<crate::mint::MintThread>,
}

impl OwnMintThread {
    #[cfg(feature = "mint")]
    async fn start(
        config: &RelayConfig,
        seed: &MasterSeed,
    ) -> Result<(Self, Option<OwnMint>), Failure> {
        let (thread, own) = match &config.mint {
            Some(mint) => {
                let (thread, own) = crate::mint::MintThread::start(config, mint, seed).await?;
                (Some(thread), Some(own))
            }
            None => (None, None),
        };
        Ok((Self { thread }, own))
    }

    #[cfg(not(feature = "mint"))]
    async fn start(_: &RelayConfig, _: &MasterSeed) -> Result<(Self, Option<OwnMint>), Failure> {
        Ok((Self {}, None))
    }

    async fn stop(self) {
        #[cfg(feature = "mint")]
        if let Some(thread) = self.thread {
            thread.stop().await;
        }
    }
}

/// Comes when the user has had enough. Set up first, so that no signal is missed.
#[cfg(unix)]
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
