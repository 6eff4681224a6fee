//! Traffic of every kind goes by while our crates log, and the log knows nobody.

use super::exits_that_say_no::{HIDDEN, Names};
use super::station::{LOOPBACK, RelayPlan, exit_config, unix};
use super::town::{Plan, Town, mint_id};
use super::traffic::{Collector, MIB, downloading, hash_of, isolation, soon, until, upload};
use coinfuse::connect::{Connect, Isolation};
use coinfuse_delivery::Exit;
use coinfuse_testkit::{LogWatch, Peer, WebServer};
use coinfuse_voucher::{Order, VoucherPublicKey};
use coinfuse_wire::{Encode, Msat};
use ring::hmac;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

/// The token of the account that a client uses first, as the client derives it.
fn account(town: &Town, relay: usize, isolation: Isolation) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let mut context = hmac::Context::with_key(&key);
    context.update(b"coinfuse client account v1");
    context.update(town.relays[relay].descriptor().relay.as_bytes());
    context.update(isolation.as_bytes());
    context.update(&0u32.to_be_bytes());
    context.sign().as_ref().try_into().unwrap()
}

/// A voucher that the client will find in its purse and present.
async fn voucher(town: &Town, relay: usize, account: [u8; 32]) -> Vec<u8> {
    let descriptor = town.relays[relay].descriptor();
    let order = Order {
        relay: descriptor.relay,
        voucher_key: VoucherPublicKey::from_bytes(descriptor.keys.voucher.as_bytes()).unwrap(),
        mint: mint_id(&town.mint),
        issuer: false,
        account,
        amount: Msat::new(8192),
    };
    let bought = town.purse.buy(unix(), &[order]).await.unwrap();
    bought[0].voucher.to_bytes()
}

/// The ways in which bytes get into a log.
fn spellings(bytes: &[u8]) -> [String; 3] {
    let numbers = format!("{bytes:?}");
    // The middle of it, so that neither a prefix nor brackets matter.
    let hex = hex::encode(&bytes[8..16]);
    let list = format!("{:?}", &bytes[8..16]);
    [hex, list.trim_matches(['[', ']']).to_owned(), numbers]
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
    let who = Isolation::from_credentials(b"alice-the-user", b"sesame-the-password");
    let names = Names::default();
    let mut plan = Plan::hops(3);
    plan.relays[0] = RelayPlan::exit_by(LOOPBACK, move || {
        Exit::new(exit_config(LOOPBACK), names.clone())
    });
    let mut town = plan.build().await;
    let mut secrets = vec![
        HIDDEN.to_owned(),
        "unknown-target.test".into(),
        "127.0.0.1".into(),
        "::1".into(),
        "alice-the-user".into(),
        "sesame-the-password".into(),
    ];
    for relay in 0..3 {
        let account = account(&town, relay, who);
        secrets.extend(spellings(&account));
        secrets.extend(spellings(&voucher(&town, relay, account).await));
    }
    let locked = town.purse.locked().await;

    // What goes well.
    let (web, target) = (WebServer::start().unwrap(), Collector::start().await);
    let echoing = Peer::echo().unwrap();
    let (_, download) = downloading(&town.client, &web, 8 * MIB, who);
    let hash = soon("the download", download).await.unwrap();
    assert_eq!(hash, hash_of(8 * MIB));
    assert_eq!(town.client.circuits().len(), 1);
    upload(&town.client, target.address, MIB, who).await;
    // And what does not.
    let refused = [
        format!("{HIDDEN}:{}", echoing.addr().port()),
        "unknown-target.test:80".into(),
        "127.0.0.1:9".into(),
        "198.51.100.7:80".into(),
    ];
    for target in refused {
        let _either = Connect::connect(&town.client, target.parse().unwrap(), who).await;
    }
    let (_, lost) = downloading(&town.client, &web, 8 * MIB, isolation("lost"));
    until("a second circuit", || town.client.circuits().len() == 2).await;
    for relay in &mut town.relays {
        relay.shut_down().await;
    }
    assert!(lost.await.is_err(), "the circuit went away");
    until("the client's notice", || town.client.circuits().is_empty()).await;

    let locked_now = town.purse.locked().await;
    assert!(locked_now < locked, "the vouchers were not presented");
    let text = log.text();
    assert!(text.contains("a stream was not opened"), "{text}");
    assert!(text.contains("coinfuse::client"), "{text}");
    assert_eq!(log.leaks(secrets), []);
}

#[tokio::test]
async fn nobody_is_in_the_log_at_info() {
    nothing_leaks_at(LevelFilter::INFO).await;
}

#[tokio::test]
async fn nobody_is_in_the_log_at_debug() {
    nothing_leaks_at(LevelFilter::DEBUG).await;
}
