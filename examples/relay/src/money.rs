//! `relay earnings`, `redeem`, `channels`, `settle` and `descriptor`: asked of the relay that runs, or
//! looked up in the files of one that does not.

use crate::{Failure, peers, withdraw};
use coinfuse::config::RelayConfig;
use coinfuse::keys::MasterSeed;
use coinfuse::node::{Conversation, RelayNode, describe, open_treasury_alone, own_offer};
use coinfuse::store::StageKind;
use coinfuse::treasury::{ChannelView, Earnings, Redemption, Settlements, Treasury};
use serde_json::{Value, json};

/// The most channels in a list; they travel as one line.
const MAX_CHANNELS: usize = 400;

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
        "channels" => treasury
            .channels(MAX_CHANNELS)
            .await
            .map(|list| channels_json(&list))
            .map_err(sentence),
        "settle" | "settle all" => treasury
            .settle_now(question == "settle all")
            .await
            .map(|done| settlements_json(&done))
            .map_err(sentence),
        peers::QUESTION => peers::answer(node).await,
        "descriptor" => node
            .descriptor()
            .map(|line| line.to_string().into())
            .map_err(sentence),
        other => withdraw::answer(other, treasury)
            .await
            .unwrap_or_else(|| Err("the relay that runs does not know this".into())),
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
            let earnings = treasury.earnings().await.map_err(failed)?;
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
        let channels = &answer["channels"];
        println!(
            "channels   {} in {} updates of {} channels",
            msat(&channels["paid_msat"]),
            channels["updates"],
            channels["opened"]
        );
        println!(
            "settled    {} from {} channels, fees {}",
            msat(&channels["settled_msat"]),
            channels["closed"],
            msat(&channels["fees_msat"])
        );
        let packets = &answer["packets"];
        println!(
            "packets    {} for {} packets",
            msat(&packets["fees_msat"]),
            packets["taken"]
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
            let done = treasury.redeem_now().await.map_err(failed)?;
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

pub(crate) async fn channels(
    config: &RelayConfig,
    seed: &MasterSeed,
    json: bool,
) -> Result<(), Failure> {
    let answer = match ask(config, "channels").await? {
        Some(answer) => answer,
        None => {
            let treasury = open_treasury_alone(config, seed)
                .await
                .map_err(Failure::failed)?;
            let list = treasury.channels(MAX_CHANNELS).await;
            treasury.shutdown().await;
            channels_json(&list.map_err(failed)?)
        }
    };
    show(json, &answer, || {
        for channel in answer.as_array().into_iter().flatten() {
            println!(
                "{}  {:<7}  {} of {}, until {}",
                text(&channel["name"]),
                text(&channel["stage"]),
                msat(&channel["paid_msat"]),
                msat(&channel["capacity_msat"]),
                channel["expires"]
            );
        }
    });
    Ok(())
}

pub(crate) async fn settle(
    config: &RelayConfig,
    seed: &MasterSeed,
    all: bool,
    json: bool,
) -> Result<(), Failure> {
    let question = if all { "settle all" } else { "settle" };
    let answer = match ask(config, question).await? {
        Some(answer) => answer,
        None => {
            let treasury = open_treasury_alone(config, seed)
                .await
                .map_err(Failure::failed)?;
            let done = treasury.settle_now(all).await;
            treasury.shutdown().await;
            settlements_json(&done.map_err(failed)?)
        }
    };
    show(json, &answer, || {
        println!(
            "settled    {} channels, received {}, fees {}",
            answer["settled"],
            msat(&answer["received_msat"]),
            msat(&answer["fees_msat"])
        );
        println!(
            "lost       {} channels, whose mint was away until they expired",
            answer["lost"]
        );
        println!(
            "waiting    {} channels for their mint to answer",
            answer["waiting"]
        );
    });
    Ok(())
}

/// Asks the relay that runs here; `None` if none does.
pub(crate) async fn ask(config: &RelayConfig, question: &str) -> Result<Option<Value>, Failure> {
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

pub(crate) fn show(as_json: bool, answer: &Value, words: impl FnOnce()) {
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
        "packets": {
            "taken": earnings.packets.taken,
            "fees_msat": earnings.packets.fees.get(),
        },
        "channels": {
            "opened": earnings.channels.opened,
            "updates": earnings.channels.updates,
            "closed": earnings.channels.closed,
            "paid_msat": earnings.channels.paid.get(),
            "settled_msat": earnings.channels.settled.get(),
            "fees_msat": earnings.channels.fees.get(),
        },
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

fn channels_json(list: &[ChannelView]) -> Value {
    let each = list.iter().map(|channel| {
        json!({
            "name": channel.name,
            "capacity_msat": channel.capacity.get(),
            "paid_msat": channel.paid.get(),
            "stage": match channel.stage.kind() {
                StageKind::Open => "open",
                StageKind::Closing => "closing",
                StageKind::Settled => "settled",
            },
            "expires": channel.expiry.secs(),
        })
    });
    each.collect::<Vec<_>>().into()
}

fn settlements_json(done: &Settlements) -> Value {
    json!({
        "settled": done.settled,
        "lost": done.lost,
        "waiting": done.waiting,
        "received_msat": done.received.get(),
        "fees_msat": done.fees.get(),
    })
}

/// An error and what caused it: a mint's refusal is no use without the mint's reason.
pub(crate) fn sentence(error: impl std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        // A transparent error says what its cause says.
        match text.ends_with(&cause) {
            true => text,
            false => format!("{text}: {cause}"),
        }
    })
}

/// The same, where the program ends with it.
fn failed(error: impl std::error::Error) -> Failure {
    Failure::Failed(sentence(error))
}

pub(crate) fn msat(value: &Value) -> String {
    coinfuse_wire::Msat::new(value.as_u64().unwrap_or_default()).to_string()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
