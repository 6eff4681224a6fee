//! What came of it, for people and for scripts.

use bitcoin::Txid;
use coinfuse_delivery::mempool::{Answer, Rejection, Remedy};
use coinfuse_wire::Msat;
use serde_json::json;
use std::process::ExitCode;

const REFUSED: u8 = 3;

pub(crate) struct Outcome {
    /// To the transaction with this id, if one was sent.
    pub(crate) answer: Option<(Answer, Txid)>,
    /// What relays were paid for it.
    pub(crate) spent: Msat,
    /// What the vouchers are worth that are there for the next ones.
    pub(crate) ahead: Msat,
}

impl Outcome {
    /// Prints it; the exit status.
    pub(crate) fn show(&self, as_json: bool) -> ExitCode {
        let refused = match self.answer {
            Some((Answer::Rejected(class), _)) => Some(class),
            _ => None,
        };
        match as_json {
            true => println!("{}", self.json(refused)),
            false => self.print(refused),
        }
        match refused {
            None | Some(Rejection::AlreadyKnown) => ExitCode::SUCCESS,
            Some(_) => ExitCode::from(REFUSED),
        }
    }

    fn json(&self, refused: Option<Rejection>) -> serde_json::Value {
        json!({
            "txid": self.answer.map(|(_, txid)| txid.to_string()),
            "accepted": self.answer.is_some() && refused.is_none(),
            "refused": refused.map(|class| class.to_string()),
            "code": refused.map(Rejection::code),
            "spent_msat": self.spent.get(),
            "ahead_msat": self.ahead.get(),
        })
    }

    fn print(&self, refused: Option<Rejection>) {
        if let Some((_, txid)) = self.answer {
            println!("{txid}");
            match refused {
                None => println!("accepted: the Bitcoin network has it"),
                Some(class) => println!("not accepted: {class}; {}", advice(class)),
            }
            println!("paid {}", self.spent);
        }
        println!("{} in vouchers for the next ones", self.ahead);
    }
}

fn advice(class: Rejection) -> &'static str {
    match class.remedy() {
        Remedy::Look => "look for it on the network",
        Remedy::RaiseFee => "make one that pays more",
        Remedy::Wait => "try again later",
        Remedy::OtherRelay => "try again: another relay may do better, and twice does no harm",
        _ => "no relay will do better with it",
    }
}

/// Why there is no outcome.
pub(crate) fn failure(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("broadcast: {error:#}");
    ExitCode::from(code)
}
