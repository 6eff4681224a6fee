//! The mint inside the relay, on a thread of its own.

use crate::Failure;
use coinfuse::config::{Lightning, MintConfig, RelayConfig};
use coinfuse::keys::{MasterSeed, Purpose};
use coinfuse::node::{OwnMint, own_mint};
use coinfuse_directory::MintUnit;
use coinfuse_mint::{Backend, EmbeddedMint, LoopbackLightning, Unit};
use std::net::SocketAddr;
use std::thread::JoinHandle;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A mint that runs until it is stopped.
pub(crate) struct MintThread {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// What the thread needs to know.
struct Setup {
    config: coinfuse_mint::MintConfig,
    listen: SocketAddr,
    lightning: Lightning,
}

impl MintThread {
    /// Starts the mint, and says how the relay sees it.
    pub(crate) async fn start(
        relay: &RelayConfig,
        mint: &MintConfig,
        seed: &MasterSeed,
    ) -> Result<(Self, OwnMint), Failure> {
        let unit = match mint.unit {
            MintUnit::Msat => Unit::Msat,
            MintUnit::Sat => Unit::Sat,
        };
        let database = relay.data_dir.join("mint.sqlite");
        let config = coinfuse_mint::MintConfig::new(database, *seed.derive(Purpose::Mint), unit);
        let setup = Setup {
            config: config.public_url(mint.url.as_str()),
            listen: mint.listen,
            lightning: mint.lightning,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::failed)?;
        let (ready, started) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("coinfuse-mint".into())
            .spawn(move || runtime.block_on(serve(setup, ready, stopped)))
            .map_err(Failure::failed)?;
        let gone = |_| Failure::failed("the mint ended while it started");
        let own = started.await.map_err(gone)??;
        Ok((Self { stop, thread }, own))
    }

    /// Stops it, and waits for that.
    pub(crate) async fn stop(self) {
        // It has ended by itself if either fails.
        let _ = self.stop.send(());
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
    }
}

async fn serve(
    setup: Setup,
    ready: oneshot::Sender<Result<OwnMint, Failure>>,
    stopped: oneshot::Receiver<()>,
) {
    let (mint, own) = match open(setup).await {
        Ok((mint, own)) => (Some(mint), Ok(own)),
        Err(failure) => (None, Err(failure)),
    };
    // If nobody waits any more, `stopped` is dropped as well.
    let _ = ready.send(own);
    if let Some(mint) = mint {
        let _ = stopped.await;
        mint.shutdown().await;
    }
}

async fn open(setup: Setup) -> Result<(EmbeddedMint, OwnMint), Failure> {
    let listener = TcpListener::bind(setup.listen).await.map_err(|error| {
        Failure::Failed(format!(
            "the mint's address {} cannot be used: {error}",
            setup.listen
        ))
    })?;
    let network = match setup.lightning {
        Lightning::Loopback => LoopbackLightning::new(),
        Lightning::LoopbackAt(address) => LoopbackLightning::connect(address)
            .await
            .map_err(Failure::failed)?,
        other => {
            return Err(Failure::Config(format!(
                "lightning = \"{other}\" is not known here"
            )));
        }
    };
    let mint = EmbeddedMint::start(setup.config, Backend::Loopback(network), listener)
        .await
        .map_err(Failure::failed)?;
    let own = own_mint(&mint).await.map_err(Failure::failed)?;
    Ok((mint, own))
}
