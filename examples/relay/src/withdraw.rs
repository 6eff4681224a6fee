//! `relay withdraw`: earnings to a Lightning invoice, or to a Cashu token.

use crate::money::{ask, msat, sentence, show, text};
use crate::{Failure, Payee};
use coinfuse::config::RelayConfig;
use coinfuse::keys::MasterSeed;
use coinfuse::node::open_treasury_alone;
use coinfuse::treasury::{Treasury, TreasuryError};
use coinfuse::voucher::{MintId, PurseError};
use coinfuse_wire::Msat;
use serde_json::{Value, json};

/// The most bytes of a list of tokens; a line between processes has at most 64 KiB.
const MAX_LIST: usize = 60 << 10;

/// What is asked of a running relay: a word, a mint or `-`, and to whom or what.
pub(crate) fn question(payee: &Payee) -> String {
    let mint = payee.mint.as_deref().unwrap_or("-");
    match (&payee.invoice, payee.token, &payee.forget) {
        (Some(invoice), ..) => format!("pay {mint} {invoice}"),
        (_, Some(amount), _) => format!("token {mint} {amount}"),
        (.., Some(token)) => format!("forget {mint} {token}"),
        _ => format!("tokens {mint} -"),
    }
}

/// The answer to such a question; `None` if it is another.
pub(crate) async fn answer(question: &str, treasury: &Treasury) -> Option<Result<Value, String>> {
    let mut words = question.split(' ');
    let (word, mint, what) = (words.next()?, words.next()?, words.next()?);
    Some(match word {
        "pay" => pay(treasury, mint, what).await,
        "token" => token(treasury, mint, what).await,
        "tokens" => tokens(treasury).await,
        "forget" => {
            let forgotten = treasury.forget_token(what).await;
            forgotten.map(|()| json!({})).map_err(sentence)
        }
        _ => return None,
    })
}

async fn pay(treasury: &Treasury, mint: &str, invoice: &str) -> Result<Value, String> {
    let mint = find(treasury, mint).await?;
    let paid = treasury.pay(&mint, invoice).await.map_err(undone)?;
    Ok(json!({ "paid_msat": paid.amount.get(), "fee_msat": paid.fee.get() }))
}

async fn token(treasury: &Treasury, mint: &str, amount: &str) -> Result<Value, String> {
    let mint = find(treasury, mint).await?;
    let amount = amount.parse().map_err(|_| "not an amount".to_owned())?;
    let token = treasury.token(&mint, Msat::new(amount)).await;
    Ok(json!({ "token": token.map_err(undone)? }))
}

async fn tokens(treasury: &Treasury) -> Result<Value, String> {
    let tokens = treasury.tokens().await.map_err(sentence)?;
    let each = tokens.iter().map(|handed| {
        json!({ "token": handed.token, "msat": handed.value.get(), "mint": handed.mint.url().to_string() })
    });
    Ok(fitting(each))
}

/// As many tokens as fit into the one line of an answer, the oldest first, and how many do not.
fn fitting(mut tokens: impl Iterator<Item = Value>) -> Value {
    let (mut listed, mut room, mut more) = (Vec::new(), MAX_LIST, 0_usize);
    for token in tokens.by_ref() {
        match room.checked_sub(token.to_string().len() + 1) {
            Some(left) => {
                room = left;
                listed.push(token);
            }
            None => {
                more = 1;
                break;
            }
        }
    }
    more += tokens.count();
    json!({ "tokens": listed, "more": more })
}

/// Why nothing was paid out; and what to do if it is not known whether it was.
fn undone(error: TreasuryError) -> String {
    let unfinished = matches!(
        error,
        TreasuryError::Coins(PurseError::Unfinished { .. } | PurseError::Stopped)
    );
    let words = sentence(error);
    match unfinished {
        true => format!(
            "{words}; do not ask twice: `relay redeem` finishes it when the mint is back, and \
             `relay withdraw --tokens` and `relay earnings` show what came of it"
        ),
        false => words,
    }
}

/// The mint with this address, or the one with the most coins.
async fn find(treasury: &Treasury, url: &str) -> Result<MintId, String> {
    let coins = treasury.earnings().await.map_err(sentence)?.coins;
    let named = |mint: &MintId| url == "-" || mint.url().to_string() == url.trim_end_matches('/');
    let most = coins
        .into_iter()
        .filter(|(mint, _)| named(mint))
        .max_by_key(|(_, coins)| *coins);
    let (mint, _) = most.ok_or_else(|| match url {
        "-" => "relay.toml names no mint: add one under [[accept]]".to_owned(),
        url => format!("relay.toml has no mint with url = \"{url}\""),
    })?;
    Ok(mint)
}

pub(crate) async fn withdraw(
    config: &RelayConfig,
    seed: &MasterSeed,
    payee: &Payee,
    json: bool,
) -> Result<(), Failure> {
    let question = question(payee);
    let found = match ask(config, &question).await? {
        Some(found) => found,
        None => {
            let treasury = open_treasury_alone(config, seed)
                .await
                .map_err(Failure::failed)?;
            let found = answer(&question, &treasury).await;
            treasury.shutdown().await;
            found
                .unwrap_or_else(|| Err("no such thing to withdraw".into()))
                .map_err(Failure::Failed)?
        }
    };
    show(json, &found, || {
        if let Some(token) = found.get("token") {
            println!("{}", text(token));
        }
        if found.get("paid_msat").is_some() {
            println!(
                "paid       {}, fees {}",
                msat(&found["paid_msat"]),
                msat(&found["fee_msat"])
            );
        }
        for handed in found["tokens"].as_array().into_iter().flatten() {
            println!(
                "{} at {}: {}",
                msat(&handed["msat"]),
                text(&handed["mint"]),
                text(&handed["token"])
            );
        }
        if let Some(more @ 1..) = found.get("more").and_then(Value::as_u64) {
            println!("and {more} more: they are shown when some of these are forgotten");
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_tokens_stays_within_a_line() {
        let token = json!({ "token": "x".repeat(1000), "msat": 1 });
        let tokens = |number| fitting(std::iter::repeat_n(token.clone(), number));
        let few = tokens(3);
        assert_eq!(
            (few["tokens"].as_array().unwrap().len(), &few["more"]),
            (3, &0.into())
        );
        let many = tokens(1000);
        assert!(many.to_string().len() < 64 << 10);
        let listed = many["tokens"].as_array().unwrap().len();
        assert!(listed > 50);
        assert_eq!(many["more"], 1000 - listed);
    }
}
