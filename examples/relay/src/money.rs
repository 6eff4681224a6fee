//! `relay earnings`, `relay redeem` and `relay descriptor`: asked of the relay that runs, or looked
//! up in the files of one that does not.

use crate::Failure;
use coinfuse::config::RelayConfig;
use coinfuse::keys::MasterSeed;
use coinfuse::node::{Conversation, RelayNode, describe, open_treasury_alone, own_offer};
use coinfuse::treasury::{Earnings, Redemption, Treasury};
use serde_json::{Value, json};

/// What a running relay answers.
pub(crate) async fn answer(question: &str, node: &RelayNode, treasury: &Treasury) -> Value {
    let answer = match question {
        "earnings" => treasury
            .earnings()
            .await
            .map(|earnings| earnings_json(&earnings))
            .map_err(sentence),
        "redeem" => treasury
            .redeem_now()
            .await
            .map(|done| redemption_json(&done))
            .map_err(sentence),
        "descriptor" => node
            .descriptor()
            .map(|line| line.to_string().into())
            .map_err(sentence),
        _ => Err("the relay that runs is of another version and does not know this".into()),
    };
    answer.unwrap_or_else(|words: String| json!({ "error": words }))
}

pub(crate) async fn descriptor(config: &RelayConfig, seed: &MasterSeed) -> Result<(), Failure> {
    let line = match ask(config, "descriptor").await? {
        Some(answer) => answer.as_str().unwrap_or_default().to_owned(),
        None => describe(config, seed, own_offer(config))
            .map_err(Failure::config)?
            .to_string(),
    };
    println!("{line}");
    Ok(())
}

pub(crate) async fn earnings(
    config: &RelayConfig,
    seed: &MasterSeed,
    json: bool,
) -> Result<(), Failure> {
    let answer = match ask(config, "earnings").await? {
        Some(answer) => answer,
        None => {
            let treasury = open_treasury_alone(config, seed)
                .await
                .map_err(Failure::failed)?;
            let earnings = treasury.earnings().await.map_err(Failure::failed)?;
            treasury.shutdown().await;
            earnings_json(&earnings)
        }
    };
    show(json, &answer, || {
        println!(
            "collected  {} in {} vouchers",
            msat(&answer["collected_msat"]),
            answer["vouchers"]
        );
        println!("used       {}", msat(&answer["used_msat"]));
        println!("redeemed   {}", msat(&answer["redeemed_msat"]));
        println!("waiting    {}", msat(&answer["waiting_msat"]));
        for coins in answer["coins"].as_array().into_iter().flatten() {
            println!(
                "coins      {} at {}",
                msat(&coins["msat"]),
                text(&coins["mint"])
            );
        }
    });
    Ok(())
}

pub(crate) async fn redeem(
    config: &RelayConfig,
    seed: &MasterSeed,
    json: bool,
) -> Result<(), Failure> {
    let answer = match ask(config, "redeem").await? {
        Some(answer) => answer,
        None => {
            let treasury = open_treasury_alone(config, seed)
                .await
                .map_err(Failure::failed)?;
            let done = treasury.redeem_now().await.map_err(Failure::failed)?;
            treasury.shutdown().await;
            redemption_json(&done)
        }
    };
    show(json, &answer, || {
        println!(
            "redeemed   {} vouchers, earned {}",
            answer["redeemed"],
            msat(&answer["earned_msat"])
        );
        println!(
            "before     {} vouchers were redeemed by an earlier try",
            answer["spent_before"]
        );
        println!(
            "waiting    {} vouchers for their mint to answer",
            answer["waiting"]
        );
    });
    Ok(())
}

/// Asks the relay that runs here; `None` if none does.
async fn ask(config: &RelayConfig, question: &str) -> Result<Option<Value>, Failure> {
    let failed = |error| Failure::Failed(format!("the running relay does not answer: {error}"));
    let talk = Conversation::begin(&config.data_dir, question)
        .await
        .map_err(failed)?;
    let Some(mut talk) = talk else {
        return Ok(None);
    };
    let line = talk.next().await.map_err(failed)?.unwrap_or_default();
    let answer: Value =
        serde_json::from_str(&line).map_err(|_| Failure::failed("the running relay broke off"))?;
    match answer.get("error") {
        Some(words) => Err(Failure::Failed(text(words))),
        None => Ok(Some(answer)),
    }
}

fn show(as_json: bool, answer: &Value, words: impl FnOnce()) {
    match as_json {
        true => println!("{answer}"),
        false => words(),
    }
}

fn earnings_json(earnings: &Earnings) -> Value {
    let coins = earnings.coins.iter().map(|(mint, coins)| {
        json!({ "mint": mint.url().to_string(), "unit": mint.unit().as_str(), "msat": coins.get() })
    });
    json!({
        "vouchers": earnings.vouchers,
        "collected_msat": earnings.collected.get(),
        "used_msat": earnings.used.get(),
        "redeemed_msat": earnings.redeemed.get(),
        "waiting_msat": earnings.waiting().get(),
        "coins": coins.collect::<Vec<_>>(),
    })
}

fn redemption_json(done: &Redemption) -> Value {
    json!({
        "redeemed": done.redeemed,
        "spent_before": done.spent_before,
        "waiting": done.waiting,
        "earned_msat": done.earned.get(),
    })
}

fn sentence(error: impl std::error::Error) -> String {
    error.to_string()
}

fn msat(value: &Value) -> String {
    coinfuse_wire::Msat::new(value.as_u64().unwrap_or_default()).to_string()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
