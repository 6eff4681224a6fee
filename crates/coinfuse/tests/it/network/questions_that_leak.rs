//! Questions go by while our crates log, and the log knows neither what was asked nor who was paid.

use super::questions::{SHORT, accepted, broadcast, make_it_drop, plan, transaction};
use coinfuse_testkit::{BitcoinPeer, LogWatch};
use coinfuse_wire::{Encode, ServiceCode};
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

/// The ways in which bytes get into a log: the middle of them, so that a prefix does not matter.
fn spellings(bytes: &[u8]) -> [String; 2] {
    let middle = &bytes[bytes.len() / 2 - 4..bytes.len() / 2 + 4];
    let list = format!("{middle:?}");
    [
        hex::encode(middle),
        list.trim_matches(['[', ']']).to_owned(),
    ]
}

async fn nothing_leaks_at(level: LevelFilter) {
    let log = LogWatch::new();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(log.clone());
    let filter = coinfuse::logging::filter(level, "it");
    let _guard =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(lines).with(filter));
    tracing::info!("the log is on");
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 3);
    (plan.client.packets.stock, plan.client.packets.attempts) = (3, 3);
    plan.client.links.handshake_timeout = Duration::from_secs(2);
    plan.client.packets.answer_timeout = Duration::from_secs(2);
    let mut town = plan.build().await;
    town.client.stock_up(ServiceCode::MEMPOOL).await.unwrap();

    let mut secrets = vec!["127.0.0.1".to_owned(), "::1".into()];
    for number in [0xa1, 0xa2] {
        let submission = transaction(number, 1);
        secrets.extend(spellings(&submission.encode()[10..40]));
        secrets.push(submission.txid().to_string());
    }
    let bought = town.purse.unsettled(None).await;
    assert_eq!(bought.len(), 9);
    for voucher in &bought {
        // In the middle is the ephemeral point.
        secrets.extend(spellings(&voucher.voucher.to_bytes()));
        secrets.extend(spellings(&voucher.account));
        secrets.extend(spellings(voucher.id.as_bytes()));
        // No relay of any journey.
        secrets.extend(spellings(voucher.relay.as_bytes()));
    }

    // What does not go well, and what does.
    for relay in 1..4 {
        make_it_drop(&town, relay);
    }
    let error = broadcast(&town, 0xa2).await.unwrap_err();
    tracing::info!(%error, ?error, "no answer");
    town.tell_everybody();
    accepted(&town, &peer, 0xa1).await;
    for relay in &mut town.relays {
        relay.shut_down().await;
    }
    let error = broadcast(&town, 0xa2).await.unwrap_err();
    tracing::info!(%error, "no link");
    assert!(town.client.spent() > SHORT);
    let text = log.text();
    assert!(text.contains("no answer"), "{text}");
    if level == LevelFilter::DEBUG {
        assert!(text.contains("coinfuse::client::packets"), "{text}");
    }
    assert_eq!(log.leaks(secrets), []);
}

#[tokio::test]
async fn no_question_is_in_the_log_at_info() {
    nothing_leaks_at(LevelFilter::INFO).await;
}

#[tokio::test]
async fn no_question_is_in_the_log_at_debug() {
    nothing_leaks_at(LevelFilter::DEBUG).await;
}
