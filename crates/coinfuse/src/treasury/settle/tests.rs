//! Settlement at a real mint, behind a line with accidents.

use super::*;
use crate::relay::ChannelPolicy;
use crate::relay::channels::Act;
use crate::store::{AccountKey, ChannelStage, Ledger, LedgerConfig};
use crate::treasury::{Treasury, TreasuryConfig};
use cashu::{Amount, SecretKey};
use coinfuse_channel::{Keyset, Params, Planned, Refusal, Sender, Unsaved};
use coinfuse_testkit::{Fault, FaultProxy, TestMint};
use coinfuse_voucher::{Keyring, Policy, Purse, PurseConfig, Unit, Verifier, VoucherKey};
use coinfuse_wire::Encode;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 3600);
const ACCOUNT: AccountKey = AccountKey::new([1; 32]);
const SWAP: &str = "/v1/swap";
const CAPACITY: u64 = 1000;

fn key(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).unwrap()
}

fn saved<S: core::fmt::Debug>(step: Unsaved<S>) -> S {
    step.save(|_| Ok::<_, Infallible>(())).unwrap()
}

/// A mint, a client and a relay.
struct Town {
    mint: TestMint,
    proxy: FaultProxy,
    id: MintId,
    folder: TempDir,
    purse: Purse,
    now: UnixTime,
}

impl Town {
    async fn found() -> Self {
        let mint = TestMint::start(coinfuse_testkit::Unit::Msat).await;
        let proxy = FaultProxy::start().unwrap();
        proxy.aim(mint.addr());
        let id = MintId::new(&proxy.url(), Unit::Msat).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let purse = purse_config(folder.path().join("purse"), &id, 7);
        let purse = Purse::open(&purse).await.unwrap();
        let invoice = purse.fund(&id, Msat::from_sat(1000)).await.unwrap();
        mint.pay_invoice(&invoice.bolt11).await;
        let soon = Duration::from_secs(20);
        purse.await_funding(&invoice, soon).await.unwrap();
        Self {
            mint,
            proxy,
            id,
            folder,
            purse,
            now: Clock::start().unix(),
        }
    }

    /// The relay, from what is on disk.
    async fn relay(&self) -> Relay {
        self.relay_on("relay").await
    }

    async fn relay_on(&self, name: &str) -> Relay {
        let channels = self.channels(name);
        let redeemer = Redeemer::open(&self.coins(name)).await.unwrap();
        Relay(Settler::new(redeemer, channels))
    }

    fn channels(&self, name: &str) -> Channels {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let ledger = Ledger::open(&folder.join("ledger"), LedgerConfig::default()).unwrap();
        let mints = vec![self.id.clone()];
        Channels::new([9; 32], mints, ledger, ChannelPolicy::default()).unwrap()
    }

    fn coins(&self, name: &str) -> PurseConfig {
        purse_config(self.folder.path().join(name).join("coins"), &self.id, 8)
    }

    /// The relay's, on a thread of its own.
    async fn treasury(&self, channels: Channels) -> Treasury {
        let key = VoucherKey::from_secret_bytes([9; 32]).unwrap();
        let verifier = Verifier::new(key, Keyring::new(), Policy::default());
        let verifier = Arc::new(RwLock::new(verifier));
        let config = TreasuryConfig::new(self.coins("relay"));
        Treasury::start(config, verifier, channels).await.unwrap()
    }

    /// A funded channel to the relay.
    async fn fund(&self, number: u8) -> Sender {
        let keyset = self.purse.keyset(&self.id, true).await.unwrap();
        let keyset = Keyset::new(&keyset).unwrap();
        let params = Params {
            mint: self.id.url().to_string(),
            unit: self.id.unit().to_cashu(),
            capacity: CAPACITY.into(),
            funding_amount: CAPACITY.into(),
            keyset_id: keyset.id(),
            input_fee_ppk: 0,
            max_amount: Amount::ZERO,
            setup: self.now,
            expiry: self.now.saturating_add(DAY),
            sender: key(number).public_key(),
            receiver: key(9).public_key(),
        };
        let planned = saved(Planned::new(params, &keyset, &key(number)).unwrap());
        let (tag, outputs) = ([number; 32], planned.outputs());
        let signed = self.purse.sign_outputs(tag, &self.id, outputs).await;
        saved(planned.funded(&signed.unwrap()).unwrap())
    }

    /// What the client gets back of a settled channel.
    async fn remainder(&self, sender: Sender) -> u64 {
        let keyset = self.purse.keyset(&self.id, true).await.unwrap();
        let keyset = Keyset::new(&keyset).unwrap();
        let closing = saved(sender.close());
        let mut search = closing.search(&[keyset]);
        while let Some(question) = search.question().unwrap() {
            let found = self.purse.restore(&self.id, question).await.unwrap();
            search.answer(&found).unwrap();
        }
        let found = search.found();
        found.iter().map(|coin| coin.amount().to_u64()).sum()
    }
}

fn purse_config(folder: PathBuf, mint: &MintId, seed: u8) -> PurseConfig {
    let mut config = PurseConfig::new(folder, vec![mint.clone()], [seed; 32]);
    config.rate_limit = false;
    config.timeout = Duration::from_secs(5);
    config
}

struct Relay(Settler);

impl Relay {
    /// Opens a channel, and unless `paid` is zero pays through it, and closes it or not.
    async fn take(&self, town: &Town, number: u8, paid: u64, act: Act) -> Sender {
        let keyset = self.0.redeemer.keyset(&town.id, true).await.unwrap();
        self.0.channels.learn(&town.id, &keyset).unwrap();
        let sender = town.fund(number).await;
        self.present(town, Act::Open, &sender.open().to_bytes())
            .await;
        if paid == 0 {
            return sender;
        }
        let sender = saved(sender.pay(town.now, paid.into()).unwrap());
        self.present(town, act, &sender.update().to_bytes()).await;
        sender
    }

    async fn present(&self, town: &Town, act: Act, payment: &[u8]) {
        let presented = self.0.channels.present(town.now, ACCOUNT, act, payment);
        presented.commit().await.unwrap();
    }

    async fn settle(&self) -> Settlements {
        self.0.settle_now(false).await.unwrap()
    }

    /// Its own coins.
    async fn coins(&self) -> u64 {
        let coins = self.0.redeemer.earnings().await.unwrap();
        coins.values().copied().sum::<Msat>().get()
    }

    fn stages(&self) -> Vec<ChannelStage> {
        let stages = [StageKind::Open, StageKind::Closing, StageKind::Settled];
        let list = stages.map(|stage| self.0.list(stage, None).unwrap());
        list.concat().iter().map(|record| record.stage).collect()
    }
}

fn settled(received: u64) -> Settlements {
    Settlements {
        settled: 1,
        received: Msat::new(received),
        ..Settlements::default()
    }
}

fn waiting() -> Settlements {
    Settlements {
        waiting: 1,
        ..Settlements::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_channel_becomes_coins_and_the_rest_is_the_clients() {
    let town = Town::found().await;
    let relay = town.relay().await;
    let sender = relay.take(&town, 1, 300, Act::Close).await;
    assert_eq!(relay.settle().await, settled(300));
    assert_eq!(relay.coins().await, 300);
    assert_eq!(town.remainder(sender).await, CAPACITY - 300);
    assert_eq!(relay.settle().await, Settlements::default(), "once");
    let totals = relay.0.channels.ledger().totals().unwrap().channels;
    assert_eq!((totals.closed, totals.settled.get()), (1, 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_has_paid_nothing_is_settled_for_its_client() {
    let town = Town::found().await;
    let relay = town.relay().await;
    let keyset = town.purse.keyset(&town.id, false).await.unwrap();
    relay.0.channels.learn(&town.id, &keyset).unwrap();
    let sender = town.fund(1).await;
    let (open, update) = (sender.open().to_bytes(), sender.update().to_bytes());
    relay.present(&town, Act::Open, &open).await;
    relay.present(&town, Act::Close, &update).await;
    assert_eq!(relay.settle().await, settled(0));
    assert_eq!(town.remainder(sender).await, CAPACITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_channels_are_settled_only_on_request() {
    let town = Town::found().await;
    let relay = town.relay().await;
    relay.take(&town, 1, 300, Act::Update).await;
    assert_eq!(relay.settle().await, Settlements::default());
    assert_eq!(relay.0.settle_now(true).await.unwrap(), settled(300));
    assert_eq!(relay.coins().await, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_is_away_is_waited_for() {
    let mut town = Town::found().await;
    let relay = town.relay().await;
    relay.take(&town, 1, 300, Act::Close).await;
    relay.take(&town, 2, 200, Act::Close).await;
    town.mint.stop().await;
    assert_eq!(relay.settle().await.waiting, 2);
    town.mint.restart().await;
    let settlements = relay.settle().await;
    assert_eq!(settlements.settled, 2);
    assert_eq!(settlements.received.get(), 500);
    assert_eq!(relay.coins().await, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_twice_is_one_settlement() {
    let town = Town::found().await;
    let relay = town.relay().await;
    relay.take(&town, 1, 300, Act::Close).await;
    town.proxy.next(SWAP, Fault::Duplicate);
    town.proxy.next(SWAP, Fault::Duplicate);
    assert_eq!(relay.settle().await, settled(300));
    assert_eq!(town.proxy.waiting(), 0);
    assert_eq!(relay.coins().await, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_late_is_asked_for_again() {
    let town = Town::found().await;
    let relay = town.relay().await;
    relay.take(&town, 1, 300, Act::Close).await;
    town.proxy.next(SWAP, Fault::Delay(Duration::from_secs(7)));
    assert_eq!(relay.settle().await, waiting());
    assert_eq!(relay.settle().await, settled(300));
    assert_eq!(relay.coins().await, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_is_restored() {
    let mut town = Town::found().await;
    let relay = town.relay().await;
    let sender = relay.take(&town, 1, 300, Act::Close).await;
    town.proxy.next(SWAP, Fault::DropAnswer);
    assert_eq!(relay.settle().await, waiting());
    // It no longer knows what it has answered, but what it has signed.
    town.mint.restart().await;
    let restores = town.proxy.answered("/v1/restore");
    assert_eq!(relay.settle().await, settled(300));
    assert_eq!(town.proxy.answered("/v1/restore"), restores + 1);
    assert_eq!(relay.coins().await, 300);
    assert_eq!(town.remainder(sender).await, CAPACITY - 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_keyset_is_replaced() {
    let town = Town::found().await;
    let relay = town.relay().await;
    let sender = relay.take(&town, 1, 300, Act::Close).await;
    town.mint.running().rotate_keyset().await.unwrap();
    let swaps = town.proxy.answered(SWAP);
    assert_eq!(relay.settle().await, settled(300));
    let swaps = town.proxy.answered(SWAP) - swaps;
    assert_eq!(swaps, 3, "refused, settled, taken in");
    assert_eq!(relay.coins().await, 300);
    assert_eq!(town.remainder(sender).await, CAPACITY - 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyset_that_is_retired_after_an_answer_was_lost_has_signed_all_the_same() {
    for restart in [false, true] {
        let mut town = Town::found().await;
        let relay = town.relay().await;
        relay.take(&town, 1, 300, Act::Close).await;
        town.proxy.next(SWAP, Fault::DropAnswer);
        assert_eq!(relay.settle().await, waiting());
        town.mint.running().rotate_keyset().await.unwrap();
        if restart {
            town.mint.restart().await;
        }
        assert_eq!(relay.settle().await, settled(300), "{restart}");
        assert_eq!(relay.coins().await, 300);
    }
}

/// Every call to the mint fails once, before it or after it, and then the relay is started again.
#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_broken_off_anywhere() {
    for fault in [Fault::DropRequest, Fault::DropAnswer] {
        let town = Town::found().await;
        let (mut paid, mut number) = (0, 0);
        for calls in 0.. {
            let relay = town.relay().await;
            number += 1;
            relay.take(&town, number, 10, Act::Close).await;
            paid += 10;
            let skipped = core::iter::repeat_n(Fault::Delay(Duration::ZERO), calls);
            skipped.for_each(|none| town.proxy.next("/v1/", none));
            town.proxy.next("/v1/", fault);
            let first = relay.settle().await;
            let unused = town.proxy.waiting();
            drop(relay);
            while town.proxy.waiting() > 0 {
                drop(town.purse.keyset(&town.id, true).await);
            }
            let relay = town.relay().await;
            relay.0.redeemer.recover().await.unwrap();
            let second = relay.settle().await;
            assert_eq!(first.settled + second.settled, 1, "{fault:?} at {calls}");
            assert_eq!(relay.coins().await, paid, "{fault:?} at {calls}");
            let received = first.received.saturating_add(second.received);
            assert_eq!(received.get(), 10, "{fault:?} at {calls}");
            if unused > 0 {
                assert!(calls > 1, "no call was made");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_whose_money_has_gone_elsewhere_is_lost_and_over() {
    let town = Town::found().await;
    let relay = town.relay().await;
    let sender = relay.take(&town, 1, 0, Act::Open).await;
    // Another process with the same key settles it at less.
    let other = town.relay_on("other").await;
    let keyset = town.purse.keyset(&town.id, false).await.unwrap();
    other.0.channels.learn(&town.id, &keyset).unwrap();
    let update = sender.update().to_bytes();
    other
        .present(&town, Act::Open, &sender.open().to_bytes())
        .await;
    other.present(&town, Act::Close, &update).await;
    assert_eq!(other.settle().await, settled(0));

    let sender = saved(sender.pay(town.now, 300.into()).unwrap());
    let update = sender.update().to_bytes();
    relay.present(&town, Act::Close, &update).await;
    let settlements = relay.settle().await;
    assert_eq!((settlements.lost, settlements.waiting), (1, 0));
    assert_eq!(
        relay.stages(),
        [ChannelStage::Settled(Settlement::default())]
    );
    assert_eq!(relay.settle().await, Settlements::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_settled_before_it_expires_and_forgotten_after() {
    let town = Town::found().await;
    let relay = town.relay().await;
    relay.take(&town, 1, 300, Act::Update).await;
    let policy = relay.0.channels.policy().clone();
    let mut schedule = Schedule::new(policy.settle_within, policy.margin);
    let expiry = town.now.saturating_add(DAY);
    let before = |secs| expiry.saturating_sub(Duration::from_secs(secs));

    relay
        .0
        .settle_due(before(602), &mut schedule)
        .await
        .unwrap();
    assert_eq!(relay.stages(), [ChannelStage::Open]);
    relay
        .0
        .settle_due(before(599), &mut schedule)
        .await
        .unwrap();
    assert_ne!(relay.stages(), [ChannelStage::Open]);
    relay
        .0
        .settle_due(before(300), &mut schedule)
        .await
        .unwrap();
    assert_eq!(relay.coins().await, 300);

    let after = |secs| expiry.saturating_add(Duration::from_secs(secs));
    relay.0.forget(after(0)).await.unwrap();
    assert_eq!(relay.stages().len(), 1);
    relay.0.forget(after(24 * 3600 + 1)).await.unwrap();
    assert_eq!(relay.stages(), []);
}

/// A client can derive the outputs of the settlement, and have the mint sign one of them for other
/// coins; then the mint refuses the swap that has them all. Nobody has the money then until the
/// channel expires, so it is no settlement and no loss.
#[tokio::test(flavor = "multi_thread")]
async fn outputs_that_were_signed_elsewhere_hold_a_settlement_up() {
    let town = Town::found().await;
    let relay = town.relay().await;
    let sender = relay.take(&town, 1, 300, Act::Close).await;
    let open = sender.open();
    let receiver = saved(relay.0.channels.terms().open(town.now, &open).unwrap());
    let mut outputs = saved(receiver.settle()).outputs().unwrap();
    outputs.truncate(1);
    let signed = town.purse.sign_outputs([99; 32], &town.id, outputs).await;
    signed.unwrap();
    assert_eq!(relay.settle().await, waiting());
    assert_eq!(relay.stages(), [ChannelStage::Closing]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_keyset_is_learnt_when_a_client_comes_with_it() {
    let town = Town::found().await;
    let channels = town.channels("relay");
    let treasury = town.treasury(channels.clone()).await;
    town.mint.running().rotate_keyset().await.unwrap();
    let open = town.fund(1).await.open().to_bytes();
    // Some time after the mint was last asked.
    let later = town.now.saturating_add(Duration::from_secs(60));
    let come = || channels.present(later, ACCOUNT, Act::Open, &open).commit();
    assert_eq!(come().await, Err(Refusal::Unavailable));
    let taken = async {
        while come().await == Err(Refusal::Unavailable) {
            sleep(Duration::from_millis(20)).await;
        }
        come().await
    };
    let taken = tokio::time::timeout(Duration::from_secs(20), taken).await;
    assert_eq!(taken.unwrap(), Ok(Msat::ZERO));
    treasury.shutdown().await;
}

/// By the treasury's own thread, as an operator asks it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_earned_is_seen_and_paid_out() {
    let town = Town::found().await;
    let relay = town.relay().await;
    relay.take(&town, 1, 300, Act::Update).await;
    relay.take(&town, 2, 400, Act::Close).await;
    drop(relay);
    let treasury = town.treasury(town.channels("relay")).await;

    let list = treasury.channels(10).await.unwrap();
    let seen: Vec<_> = list
        .iter()
        .map(|one| (one.stage.kind(), one.paid.get(), one.capacity.get()))
        .collect();
    let expected = [
        (StageKind::Open, 300, CAPACITY),
        (StageKind::Closing, 400, CAPACITY),
    ];
    assert_eq!(seen, expected);
    assert_eq!(treasury.settle_now(false).await.unwrap(), settled(400));
    assert_eq!(treasury.settle_now(true).await.unwrap(), settled(300));
    let earnings = treasury.earnings().await.unwrap();
    assert_eq!(earnings.coins[&town.id].get(), 700);
    let figures = earnings.channels;
    assert_eq!((figures.opened, figures.updates, figures.closed), (2, 2, 2));
    assert_eq!((figures.paid.get(), figures.settled.get()), (700, 700));

    let invoice = town.purse.fund(&town.id, Msat::new(250)).await.unwrap();
    let paid = treasury.pay(&town.id, &invoice.bolt11).await.unwrap();
    assert_eq!(paid.amount.get(), 250);
    let left = Msat::new(450).saturating_sub(paid.fee);
    let token = treasury.token(&town.id, left).await.unwrap();
    assert_eq!(treasury.tokens().await.unwrap()[0].token, token);
    let received = town.purse.receive(&token).await.unwrap();
    assert_eq!(received, (town.id.clone(), left));
    treasury.forget_token(&token).await.unwrap();
    assert!(treasury.tokens().await.unwrap().is_empty());
    assert_eq!(
        treasury.earnings().await.unwrap().coins[&town.id],
        Msat::ZERO
    );
    treasury.shutdown().await;
}
