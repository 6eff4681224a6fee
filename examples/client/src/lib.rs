//! A Coinfuse client as a program: `init`, `fund`, `balance`, `run`, `relays`, `circuits`,
//! `channels`, `recover`.
//!
//! The work is done by [`coinfuse::node`] and [`coinfuse::client`]; here are the words around it.

mod amount;
mod channels;
mod files;
mod money;
mod relays;
mod run;

use amount::Amount;
use clap::{Parser, Subcommand};
use coinfuse::discovery::PeerAddress;
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

/// A Coinfuse client: a SOCKS5 proxy through relays that it pays with ecash.
#[derive(Debug, Parser)]
#[command(name = "client", version)]
struct Options {
    /// The folder of client.toml, to which the paths in it are relative.
    #[arg(long, global = true, default_value = ".")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write client.toml, with every key and its meaning, and the seed of the wallet.
    Init {
        /// Ask this relay who the relays are; `relay peers` prints it. Can be given several times.
        #[arg(long, value_name = "PEER")]
        bootstrap: Vec<PeerAddress>,
    },
    /// Print a Lightning invoice, wait until it is paid, and take the ecash.
    Fund {
        /// How much: `1000`, `1000sat` or `500000msat`.
        amount: Amount,
        /// The mint to fund, by its address; needed if there are several in client.toml.
        #[arg(long)]
        mint: Option<String>,
        /// Seconds to wait for the payment.
        #[arg(long, default_value_t = 3600)]
        timeout: u32,
        /// For a script: one object for the invoice, one for what came.
        #[arg(long)]
        json: bool,
    },
    /// What is in the wallet.
    Balance {
        /// For a script.
        #[arg(long)]
        json: bool,
    },
    /// Run the SOCKS5 proxy until Ctrl-C.
    Run,
    /// The relays that are known: what they offer, what they ask for, how they did.
    Relays {
        /// For a script.
        #[arg(long)]
        json: bool,
    },
    /// The open circuits of the client that runs, and what they carried and cost.
    Circuits {
        /// For a script.
        #[arg(long)]
        json: bool,
    },
    /// The payment channels that are not finished: what they have paid, and what is locked in them.
    Channels {
        /// For a script.
        #[arg(long)]
        json: bool,
    },
    /// Finish what was begun when the client or a mint went away, and take back the coins of
    /// vouchers that no relay took in time and what is left of payment channels.
    Recover {
        /// For a script.
        #[arg(long)]
        json: bool,
    },
}

/// Why the program ends early: a sentence, and whose turn it is.
#[derive(Debug)]
enum Failure {
    /// The configuration or the files are wrong: exit code 2.
    Config(String),
    /// Something else: exit code 1.
    Failed(String),
}

impl Failure {
    fn config(error: impl Display) -> Self {
        Self::Config(error.to_string())
    }

    fn failed(error: impl Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let options = Options::parse();
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(words)) => complain(&words, 2),
        Err(Failure::Failed(words)) => complain(&words, 1),
    }
}

fn complain(words: &str, code: u8) -> ExitCode {
    eprintln!("client: {words}");
    ExitCode::from(code)
}

fn run(options: Options) -> Result<(), Failure> {
    if let Command::Init { bootstrap } = &options.command {
        return files::init(&options.dir, bootstrap);
    }
    let (config, seed) = files::open(&options.dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let done = runtime.block_on(async {
        let (question, json) = match options.command {
            Command::Init { .. } => unreachable!("done above"),
            Command::Run => return run::run(&config, &seed).await,
            Command::Relays { json } => return relays::ask(&config, json).await,
            Command::Fund {
                amount,
                mint,
                timeout,
                json,
            } => {
                let mint = money::mint_to_fund(&config, mint.as_deref())?;
                let amount = amount.msat().get();
                (
                    money::Question::Fund {
                        mint,
                        amount,
                        timeout,
                    },
                    json,
                )
            }
            Command::Balance { json } => (money::Question::Balance, json),
            Command::Circuits { json } => (money::Question::Circuits, json),
            Command::Channels { json } => (money::Question::Channels, json),
            Command::Recover { json } => (money::Question::Recover, json),
        };
        money::ask(&config, &seed, &question, json).await
    });
    runtime.shutdown_background();
    done
}
