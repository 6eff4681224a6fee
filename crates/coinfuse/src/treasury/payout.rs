//! Paying out what was earned.

use super::TreasuryError;
use super::money::Question;
use coinfuse_voucher::{HandedOut, MintId, Paid, Redeemer};
use coinfuse_wire::Msat;
use tokio::sync::mpsc;

/// A wish to have earnings paid out.
pub(super) enum Payout {
    /// To a Lightning invoice, with coins of this mint.
    Invoice(MintId, String, Question<Paid>),
    /// As a Cashu token of so much at this mint.
    Token(MintId, Msat, Question<String>),
    /// Which tokens were handed out.
    Tokens(Question<Vec<HandedOut>>),
    /// One of them is in safe hands.
    Forget(String, Question<()>),
}

/// Pays out when asked, until nobody can ask any more.
pub(super) async fn pay_out(redeemer: &Redeemer, mut inbox: mpsc::Receiver<Payout>) {
    while let Some(payout) = inbox.recv().await {
        // Whether anybody waits for an answer or not: it is done.
        match payout {
            Payout::Invoice(mint, bolt11, answer) => {
                let paid = redeemer.pay(&mint, &bolt11).await;
                drop(answer.send(paid.map_err(TreasuryError::from)));
            }
            Payout::Token(mint, amount, answer) => {
                let token = redeemer.token(&mint, amount).await;
                drop(answer.send(token.map_err(TreasuryError::from)));
            }
            Payout::Tokens(answer) => drop(answer.send(Ok(redeemer.tokens().await))),
            Payout::Forget(token, answer) => {
                let forgotten = redeemer.forget_token(&token).await;
                drop(answer.send(forgotten.map_err(TreasuryError::from)));
            }
        }
    }
}
