//! `client run`.

use crate::{Failure, money, relays};
use coinfuse::config::ClientConfig;
use coinfuse::keys::MasterSeed;
use coinfuse::node::{ClientNode, ControlServer};
use coinfuse::{logging, raise_open_files};
use coinfuse_directory::Directory;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Serves applications until Ctrl-C or SIGTERM.
pub(crate) async fn run(config: &ClientConfig, seed: &MasterSeed) -> Result<(), Failure> {
    let stop = stop_signal()?;
    logging::init(config.log.into(), "client").map_err(Failure::failed)?;
    raise_open_files();
    let node = ClientNode::start(config, seed)
        .await
        .map_err(Failure::failed)?;
    let (client, known) = (node.client().clone(), node.relays());
    let funds: u64 = client
        .purse()
        .balances()
        .await
        .values()
        .map(|msat| msat.get())
        .sum();
    // Before the line that says so: who reads it may ask at once.
    let door = open_door(config);
    println!("SOCKS5 on {}", node.socks_address());
    tracing::info!(
        "{} relays are known, {funds} msat in the wallet; Ctrl-C stops the client",
        known.borrow().len()
    );
    if config.mint.is_empty() {
        tracing::warn!("client.toml names no [[mint]]: only relays that cost nothing can be used");
    } else if funds == 0 {
        tracing::warn!("the wallet is empty: fund it with `client fund`");
    }
    let shutdown = CancellationToken::new();
    let serving = node.serve(shutdown.clone());
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => return Err(Failure::failed("the proxy ended by itself")),
        () = stop => {}
        () = answer_questions(door, &client, &known) => {}
    }
    tracing::info!("stopping");
    shutdown.cancel();
    serving.await;
    Ok(())
}

/// For `client balance`, `client fund` and the like while this runs.
fn open_door(config: &ClientConfig) -> Option<ControlServer> {
    let door = ControlServer::open(&config.data_dir);
    door.inspect_err(|error| {
        tracing::warn!("`client balance` will not work while this runs: {error}");
    })
    .ok()
}

async fn answer_questions(
    door: Option<ControlServer>,
    client: &coinfuse::client::Client,
    known: &watch::Receiver<Arc<Directory>>,
) {
    let Some(door) = door else {
        return std::future::pending().await;
    };
    door.serve(|question, lines| {
        let (client, known) = (client.clone(), known.clone());
        async move {
            if question == relays::QUESTION {
                let known = Arc::clone(&known.borrow());
                return relays::answer(&known, &client.history(), &lines).await;
            }
            let source = money::Source {
                purse: client.purse(),
                client: Some(&client),
                file: None,
            };
            money::answer_line(&question, &source, &lines).await;
        }
    })
    .await;
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
