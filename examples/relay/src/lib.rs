//! A Coinfuse relay as a program: `init`, `run`, `descriptor`, `peers`, `earnings`, `redeem`,
//! `channels`, `settle`, `withdraw`.
//!
//! The work is done by [`coinfuse::node`] and [`coinfuse::treasury`]; here are the words around it.

mod files;
#[cfg(feature = "mint")]
mod mint;
mod money;
mod peers;
mod run;
mod withdraw;

use clap::{ArgGroup, Args, Parser, Subcommand, value_parser};
use coinfuse::discovery::PeerAddress;
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

/// A Coinfuse relay: carries traffic and is paid for it in ecash.
#[derive(Debug, Parser)]
#[command(name = "relay", version)]
struct Options {
    /// The folder of relay.toml, to which the paths in it are relative.
    #[arg(long, global = true, default_value = ".")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write relay.toml, with every key and its meaning, and the seed of the relay's keys.
    Init {
        /// Ask this relay who else there is; `relay peers` on it prints it. Can be given several
        /// times.
        #[arg(long, value_name = "PEER")]
        bootstrap: Vec<PeerAddress>,
    },
    /// Run until Ctrl-C; prints the descriptor and the `bootstrap` line for others when the relay
    /// is ready.
    Run,
    /// Print the descriptor: one line, for the directory files of clients.
    Descriptor,
    /// Print what others write under `bootstrap` to find the network by this relay, and who it
    /// knows.
    Peers {
        /// For a script.
        #[arg(long)]
        json: bool,
    },
    /// What the relay has earned.
    Earnings {
        /// For a script.
        #[arg(long)]
        json: bool,
    },
    /// Turn the vouchers that were collected into coins now.
    Redeem {
        /// For a script.
        #[arg(long)]
        json: bool,
    },
    /// The payment channels: name, stage, what they have paid, and when they expire (unix seconds).
    Channels {
        /// For a script.
        #[arg(long)]
        json: bool,
    },
    /// Settle the channels that are closed now, without waiting for their moment.
    Settle {
        /// Close the open ones first; clients that use them have to open others.
        #[arg(long)]
        all: bool,
        /// For a script.
        #[arg(long)]
        json: bool,
    },
    /// Pay out what was earned: to a Lightning invoice, or as a Cashu token.
    Withdraw {
        #[command(flatten)]
        payee: Payee,
        /// For a script.
        #[arg(long)]
        json: bool,
    },
}

/// Where earnings go.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("payee").required(true))]
struct Payee {
    /// Pay this Lightning invoice (BOLT 11).
    #[arg(long, group = "payee", value_parser = invoice)]
    invoice: Option<String>,
    /// Print a Cashu token worth so many msat. Whoever has its text has the money.
    #[arg(long, group = "payee", value_name = "MSAT", value_parser = value_parser!(u64).range(1..))]
    token: Option<u64>,
    /// Print the tokens that were taken out and not forgotten.
    #[arg(long, group = "payee")]
    tokens: bool,
    /// Forget a token that is in safe hands.
    #[arg(long, group = "payee", value_name = "TOKEN", value_parser = one_word)]
    forget: Option<String>,
    /// With coins of the mint with this address. Default: the one with the most coins.
    #[arg(long, value_parser = one_word)]
    mint: Option<String>,
}

/// A question to the relay that runs is words on one line.
fn one_word(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("there is nothing in it"),
        word if word.contains(char::is_whitespace) => Err("there is a blank in it"),
        word => Ok(word.to_owned()),
    }
}

/// As [`one_word`]; wallets show invoices with a scheme in front as well.
fn invoice(text: &str) -> Result<String, &'static str> {
    const SCHEME: &str = "lightning:";
    let text = text.trim();
    let text = match text.get(..SCHEME.len()) {
        Some(start) if start.eq_ignore_ascii_case(SCHEME) => &text[SCHEME.len()..],
        _ => text,
    };
    match text.get(..2) {
        Some(start) if start.eq_ignore_ascii_case("ln") => one_word(text),
        _ => Err("a BOLT 11 invoice begins with ln"),
    }
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
    eprintln!("relay: {words}");
    ExitCode::from(code)
}

fn run(options: Options) -> Result<(), Failure> {
    if let Command::Init { bootstrap } = &options.command {
        return files::init(&options.dir, bootstrap);
    }
    let (config, seed) = files::open(&options.dir)?;
    // All the data moves on this one thread; money, ledger and mint have threads of their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let done = runtime.block_on(async {
        match options.command {
            Command::Init { .. } => unreachable!("done above"),
            Command::Run => run::run(&config, &seed).await,
            Command::Descriptor => money::descriptor(&config, &seed).await,
            Command::Peers { json } => peers::show(&config, &seed, json).await,
            Command::Earnings { json } => money::earnings(&config, &seed, json).await,
            Command::Redeem { json } => money::redeem(&config, &seed, json).await,
            Command::Channels { json } => money::channels(&config, &seed, json).await,
            Command::Withdraw { payee, json } => {
                withdraw::withdraw(&config, &seed, &payee, json).await
            }
            Command::Settle { all, json } => money::settle(&config, &seed, all, json).await,
        }
    });
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invoice_is_one_word_with_or_without_its_scheme() {
        for good in [
            "lnbc1x",
            " lnbc1x\n",
            "lightning:lnbc1x",
            "LIGHTNING:lnbc1x",
        ] {
            assert_eq!(invoice(good).as_deref(), Ok("lnbc1x"), "{good}");
        }
        for bad in ["", "lightning:", "lnbc1 x", "bc1q", "é"] {
            assert!(invoice(bad).is_err(), "{bad}");
        }
        assert!(one_word("two words").is_err() && one_word("  ").is_err());
    }
}
