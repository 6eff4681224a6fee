//! Has a Bitcoin transaction broadcast by a relay that is paid and does not know whose it is: what
//! a wallet does with Coinfuse.

mod show;

use anyhow::{Context, Result};
use clap::Parser;
use coinfuse::client::{AskError, Client};
use coinfuse::config::ClientConfig;
use coinfuse::keys::MasterSeed;
use coinfuse::node::ClientSession;
use coinfuse_delivery::mempool::Submission;
use coinfuse_wire::ServiceCode;
use show::Outcome;
use std::path::PathBuf;
use std::process::ExitCode;

/// Broadcast a Bitcoin transaction without anybody learning where it came from.
///
/// Exit status: 0 if the Bitcoin network has it, 3 if it was refused, 1 if that is not known, 2 for
/// wrong usage.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// The client's file, made by `client init`; the paths in it are relative to its folder.
    #[arg(long, default_value = "client.toml")]
    config: PathBuf,
    /// The transaction in hex; `-` reads it from the standard input.
    #[arg(long, required_unless_present = "stock")]
    tx: Option<String>,
    /// An unconfirmed parent for which the transaction pays, in hex.
    #[arg(long, requires = "tx")]
    parent: Option<String>,
    /// Buy vouchers ahead and send nothing, so that no mint sees later when you broadcast.
    #[arg(long, conflicts_with = "tx")]
    stock: bool,
    /// For a script.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let prepared = open(&options).and_then(|files| Ok((files, read(&options)?)));
    let (files, submission) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return show::failure(&error, 2),
    };
    match run(files, submission) {
        Ok(outcome) => outcome.show(options.json),
        Err(error) => show::failure(&error, 1),
    }
}

/// The client's files.
fn open(options: &Options) -> Result<(ClientConfig, MasterSeed)> {
    let config = ClientConfig::load(&options.config)?;
    if let Some(folder) = options.config.parent().filter(|path| path.is_dir()) {
        std::env::set_current_dir(folder)?;
    }
    let seed = MasterSeed::load(&config.data_dir.join("seed"))?;
    Ok((config, seed))
}

/// What is to be sent, checked as far as can be without the chain. Nothing was spent yet.
fn read(options: &Options) -> Result<Option<Submission>> {
    let decode = |text: &str| hex::decode(text.trim()).context("a transaction has to be hex");
    let child = match options.tx.as_deref() {
        None => return Ok(None),
        Some("-") => decode(&std::io::read_to_string(std::io::stdin())?)?,
        Some(hex) => decode(hex)?,
    };
    let submission = match &options.parent {
        Some(parent) => Submission::package(&decode(parent)?, &child)?,
        None => Submission::single(&child)?,
    };
    Ok(Some(submission))
}

#[tokio::main(flavor = "current_thread")]
async fn run(files: (ClientConfig, MasterSeed), tx: Option<Submission>) -> Result<Outcome> {
    coinfuse::logging::init(tracing::level_filters::LevelFilter::WARN, "broadcast")?;
    let session = ClientSession::open(&files.0, &files.1).await?;
    let work = async |client: &Client| {
        let answer = match &tx {
            Some(tx) => Some((client.broadcast(tx).await?, tx.txid())),
            None => client.stock_up(ServiceCode::MEMPOOL).await.map(|()| None)?,
        };
        let (spent, ahead) = (client.spent(), client.packets().value);
        Ok(Outcome {
            answer,
            spent,
            ahead,
        })
    };
    session.run(work).await.map_err(|error| match error {
        AskError::OutOfMoney => anyhow::anyhow!("{error}: `client fund 1000` in the same folder"),
        error => error.into(),
    })
}
