//! The whole network in one process, on real parts: a Cashu mint with loopback Lightning, relays on
//! QUIC sockets, one of them with a mint of its own, a web server, and a client that buys ecash,
//! builds a circuit, pays every hop and downloads through it.

mod account;
mod bench;
mod bitcoin;
mod broadcast;
mod crowd;
mod download;
mod packet_table;
mod role;
mod show;
mod town;
mod wallet;

use account::Account;
use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use coinfuse::socks::{SocksLimits, SocksServer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use town::{Plan, Town};

/// When channels are funded: nobody watches here, and a download is over in a moment.
const SOON: Duration = Duration::from_millis(50);

#[derive(Subcommand)]
enum Command {
    /// Measure: bulk, CPU time, first byte, fresh circuits, parallel downloads, memory.
    Bench,
    /// Have a Bitcoin transaction broadcast by packets, each layer of which pays its relay: to
    /// embedded regtest peers, or to real nodes if BITCOIND_EXE says where a bitcoind is.
    Broadcast,
    /// Measure how soon a new client can use a network of many relays.
    Discovery {
        /// How many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(3..=1000))]
        relays: u16,
    },
}

/// See real traffic go through relays that are paid with real ecash.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Exit after the table: 0 if everything arrived and every hop was paid what it was due.
    #[arg(long, global = true)]
    once: bool,
    /// Print JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// Relays in the circuit.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=8))]
    hops: u8,
    /// MiB to download.
    #[arg(long, default_value_t = 64)]
    size: u64,
    /// Where the SOCKS5 proxy listens.
    #[arg(long, default_value = "127.0.0.1:0")]
    socks: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    coinfuse::raise_open_files();
    coinfuse::logging::init(tracing::level_filters::LevelFilter::WARN, "playground")?;
    match options.command {
        Some(Command::Bench) => return bench::run(options.json).await,
        Some(Command::Broadcast) => return broadcast::run(options.once, options.json).await,
        Some(Command::Discovery { relays }) => {
            return crowd::run(relays.into(), options.json).await;
        }
        None => {}
    }
    let town = Town::start(Plan::circuits(options.hops.into(), SOON)).await?;
    let report = download::run(&town, options.size << 20, !options.json).await?;
    let report = show::Report::new(&town, &report).await?;
    if !options.json {
        report.print();
    }
    if !options.once {
        serve(&town, options.socks).await?;
    }
    let account = Account::close(&town).await?;
    match options.json {
        true => println!("{}", show::json(&report, &account)?),
        false => account.print(),
    }
    town.stop().await;
    match report.problem().or(account.problem()) {
        Some(problem) => bail!(problem),
        None => Ok(()),
    }
}

/// Serves the SOCKS5 proxy until Ctrl-C.
async fn serve(town: &Town, address: SocketAddr) -> Result<()> {
    let socks = SocksServer::bind(address, SocksLimits::default()).await?;
    let local = socks.local_address()?;
    println!("\nThe network stays up. Try it:\n");
    println!(
        "  curl --socks5-hostname {local} {}\n",
        town.web.url("/hello")
    );
    println!("Ctrl-C ends it.");
    let shutdown = CancellationToken::new();
    tokio::select! {
        () = socks.serve(Arc::new(town.client.clone()), shutdown.clone()) => {}
        signal = tokio::signal::ctrl_c() => signal?,
    }
    shutdown.cancel();
    Ok(())
}
