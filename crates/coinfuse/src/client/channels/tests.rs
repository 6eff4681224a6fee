//! Channels of a client against a real mint, and a relay in a variable.

use super::error::ChannelError;
use super::owner::Owner;
use super::pay::{ChannelPayment, Next};
use super::{ChannelConfig, ChannelFile, ChannelStage, Channels};
use crate::client::ClientError;
use crate::client::budget::Budget;
use crate::client::payer::HopAccount;
use crate::clock::Clock;
use cashu::{PublicKey, SecretKey};
use coinfuse_channel::{Keyset, Open, Receiver, Terms, Unsaved, Update};
use coinfuse_circuit::{AccountToken, Offer, PayResult, PaymentNumber, RefusedItem, TopUpPolicy};
use coinfuse_testkit::{Fault, FaultProxy, TestMint, Unit as MintUnit};
use coinfuse_voucher::{MintId, Purse, PurseConfig, Unit, VoucherPublicKey};
use coinfuse_wire::{ByteCount, Decode, Msat, Rate, RelayId};
use core::convert::Infallible;
use core::time::Duration;
use std::sync::Arc;
use tempfile::TempDir;

const RATE: Rate = Rate::from_msat_per_mib(1000);
const FUNDS: Msat = Msat::from_sat(10_000);
/// What 64 MiB cost, rounded up.
const CAPACITY: Msat = Msat::new(65_536);
const SIGNATURE: u8 = 19;
const UNKNOWN_CHANNEL: u8 = 25;
const UNAVAILABLE: u8 = 29;

/// A mint, a purse with money at it, and a client's files.
struct Town {
    mint: TestMint,
    id: MintId,
    purse: Purse,
    folder: TempDir,
    lifetime: Duration,
}

impl Town {
    async fn found() -> Self {
        Self::at(TestMint::start(MintUnit::Msat).await, Unit::Msat).await
    }

    async fn at(mint: TestMint, unit: Unit) -> Self {
        let id = MintId::new(mint.url(), unit).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut config = PurseConfig::new(folder.path().join("purse"), vec![id.clone()], [8; 32]);
        config.rate_limit = false;
        let purse = Purse::open(&config).await.unwrap();
        let invoice = purse.fund(&id, FUNDS).await.unwrap();
        mint.pay_invoice(&invoice.bolt11).await;
        let patience = Duration::from_secs(20);
        purse.await_funding(&invoice, patience).await.unwrap();
        Self {
            mint,
            id,
            purse,
            folder,
            lifetime: Duration::from_secs(24 * 3600),
        }
    }

    async fn channels(&self, cap: Msat) -> (Arc<Channels>, Arc<Budget>) {
        let mut config = ChannelConfig::new(self.folder.path().join("channels.redb"));
        config.capacity = ByteCount::from_mib(64);
        config.lifetime = self.lifetime;
        let mut policy = TopUpPolicy::default();
        policy.increment_down = ByteCount::from_mib(2);
        let budget = Arc::new(Budget::new(cap));
        let (purse, spent) = (self.purse.clone(), Arc::clone(&budget));
        let opened = Channels::open(config, policy, purse, spent, Clock::start());
        (opened.await.unwrap(), budget)
    }

    /// The client stops, and starts again with its files.
    async fn restart(&self, channels: Arc<Channels>) -> Arc<Channels> {
        channels.shut().await;
        self.channels(Msat::MAX).await.0
    }

    fn account(&self) -> HopAccount {
        let key = VoucherPublicKey::from_bytes(&relay_key().public_key().to_bytes()).unwrap();
        let mints = vec![(self.id.clone(), false)];
        let token = AccountToken::new([3; 32]);
        HopAccount::new(RelayId::new([1; 32]), key, mints, token)
    }

    fn owner(&self) -> Owner {
        Owner {
            relay: RelayId::new([1; 32]),
            account: AccountToken::new([3; 32]),
            mint: self.id.clone(),
        }
    }

    async fn relay(&self) -> Relay {
        let keyset = self.purse.keyset(&self.id, false).await.unwrap();
        let mut terms = Terms::new(relay_key());
        let keyset = Keyset::new(&keyset).unwrap();
        terms.keysets.push((self.id.url().to_string(), keyset));
        Relay {
            terms,
            unit: self.id.unit(),
            clock: Clock::start(),
            open: Vec::new(),
        }
    }

    async fn balance(&self) -> Msat {
        self.purse.balance(&self.id).await.unwrap()
    }
}

fn relay_key() -> SecretKey {
    SecretKey::from_slice(&[2; 32]).unwrap()
}

fn receiver_key() -> PublicKey {
    relay_key().public_key()
}

fn saved<S: core::fmt::Debug>(step: Unsaved<S>) -> S {
    step.save(|_| Ok::<_, Infallible>(())).unwrap()
}

/// A relay that takes what is right, and remembers it.
struct Relay {
    terms: Terms,
    unit: Unit,
    clock: Clock,
    open: Vec<Receiver>,
}

impl Relay {
    fn answer(&mut self, payment: &ChannelPayment) -> PayResult {
        let Offer { method, payment } = payment.offer();
        let now = self.clock.unix();
        let credited = match method {
            Offer::CHANNEL_OPEN => {
                let open = Open::from_bytes(&payment).unwrap();
                match self.place(&open.update) {
                    Some(_) => self.take(&open.update),
                    None => {
                        let receiver = saved(self.terms.open(now, &open).unwrap());
                        let credited = receiver.balance().to_u64();
                        self.open.push(receiver);
                        credited
                    }
                }
            }
            _ => self.take(&Update::from_bytes(&payment).unwrap()),
        };
        result(self.unit.value(credited).unwrap().get(), None)
    }

    fn place(&self, update: &Update) -> Option<usize> {
        self.open
            .iter()
            .position(|receiver| receiver.id() == update.channel)
    }

    fn take(&mut self, update: &Update) -> u64 {
        let receiver = self.open.remove(self.place(update).unwrap());
        let before = receiver.balance();
        let (receiver, credited) = match update.balance > before {
            true => {
                let receiver = saved(receiver.receive(self.clock.unix(), update).unwrap());
                (receiver, (update.balance - before).to_u64())
            }
            false => (receiver, 0),
        };
        self.open.push(receiver);
        credited
    }

    /// Settles all channels at the mint, under the keyset that is active.
    async fn settle(&mut self, town: &Town) {
        let active = town.purse.keyset(&town.id, true).await.unwrap();
        let active = Keyset::new(&active).unwrap();
        for receiver in self.open.drain(..) {
            let settling = saved(saved(receiver.settle()).under(&active));
            let swap = settling.swap().unwrap();
            town.purse.submit_swap(&town.id, swap).await.unwrap();
        }
    }
}

fn result(credited: u64, refused: Option<u8>) -> PayResult {
    let item = |reason| RefusedItem { index: 0, reason };
    PayResult {
        number: PaymentNumber(1),
        credited: Msat::new(credited),
        refused: refused.map(item).into_iter().collect(),
    }
}

/// One payment of what is to be sent; there is no other.
fn only(mut payments: Vec<ChannelPayment>) -> ChannelPayment {
    assert_eq!(payments.len(), 1, "{payments:?}");
    payments.remove(0)
}

async fn opened(channels: &Channels, account: &HopAccount, relay: &mut Relay) {
    let open = only(channels.attend(account, RATE).await);
    assert_eq!(open.offer.method, Offer::CHANNEL_OPEN);
    let answer = relay.answer(&open);
    let next = channels.answered(account, open, &answer).await;
    assert_eq!(next, Next::Attend(Duration::ZERO));
}

async fn paid(channels: &Channels, account: &HopAccount, relay: &mut Relay, amount: u64) {
    let payment = channels.pay(account, Msat::new(amount)).await.unwrap();
    let payment = payment.expect("a channel with room");
    assert_eq!(payment.offer.method, Offer::CHANNEL_UPDATE);
    let answer = relay.answer(&payment);
    assert_eq!(answer.credited, Msat::new(amount));
    let next = channels.answered(account, payment, &answer).await;
    assert_eq!(next, Next::Rest);
}

#[tokio::test]
async fn one_channel_takes_over_from_another_and_the_rest_comes_back() {
    let town = Town::found().await;
    let (channels, budget) = town.channels(Msat::MAX).await;
    let (account, mut relay) = (town.account(), town.relay().await);
    opened(&channels, &account, &mut relay).await;
    assert!(channels.attend(&account, RATE).await.is_empty());
    assert_eq!(
        budget.spent(),
        Msat::ZERO,
        "to fund a channel is not to spend"
    );
    for _ in 0..3 {
        paid(&channels, &account, &mut relay, 20_000).await;
    }
    assert_eq!(channels.hop(&account.token).in_use, Msat::new(60_000));

    opened(&channels, &account, &mut relay).await;
    paid(&channels, &account, &mut relay, 20_000).await;
    let close = only(channels.attend(&account, RATE).await);
    assert_eq!(close.offer.method, Offer::CHANNEL_CLOSE);
    assert_eq!(relay.answer(&close).credited, Msat::ZERO);
    assert_eq!(budget.spent(), Msat::new(80_000));
    let hop = channels.hop(&account.token);
    assert_eq!((hop.paid, hop.updates), (Msat::new(80_000), 4));
    assert_eq!((hop.capacity, hop.in_use), (CAPACITY, Msat::new(20_000)));

    let close = only(channels.leave(&account, true).await);
    assert_eq!(close.offer.method, Offer::CHANNEL_CLOSE);
    assert_eq!(channels.reclaim(true).await, Msat::ZERO, "not settled yet");
    relay.settle(&town).await;
    assert_eq!(channels.reclaim(true).await, Msat::new(2 * 65_536 - 80_000));
    assert_eq!(
        town.balance().await,
        FUNDS.saturating_sub(Msat::new(80_000))
    );
    assert!(channels.report().is_empty());
    assert!(town.restart(channels).await.report().is_empty());
}

#[tokio::test]
async fn the_rest_is_found_under_a_keyset_that_is_retired_by_then() {
    let town = Town::found().await;
    let (channels, _) = town.channels(Msat::MAX).await;
    let (account, mut relay) = (town.account(), town.relay().await);
    opened(&channels, &account, &mut relay).await;
    paid(&channels, &account, &mut relay, 20_000).await;
    let close = only(channels.leave(&account, true).await);
    relay.answer(&close);

    town.mint.running().rotate_keyset().await.unwrap();
    relay.settle(&town).await;
    town.mint.running().rotate_keyset().await.unwrap();
    assert_eq!(channels.reclaim(true).await, Msat::new(65_536 - 20_000));
    assert!(channels.report().is_empty());
}

#[tokio::test]
async fn a_client_that_stops_at_any_point_loses_nothing() {
    let town = Town::found().await;
    let (channels, _) = town.channels(Msat::MAX).await;
    let (account, mut relay) = (town.account(), town.relay().await);
    let owner = town.owner();

    // Written down, and never asked for.
    let planned = channels.plan(&owner, receiver_key(), 65_536, false);
    drop(planned.await.unwrap());
    let channels = town.restart(channels).await;
    assert_eq!(channels.report()[0].stage, ChannelStage::Funding);
    assert_eq!(channels.reclaim(true).await, Msat::ZERO);
    assert!(channels.report().is_empty());
    assert_eq!(town.balance().await, FUNDS);

    // Signed, and the signatures not written down.
    let planned = channels.plan(&owner, receiver_key(), 65_536, false);
    let planned = planned.await.unwrap();
    let (tag, outputs) = (*planned.id().as_bytes(), planned.outputs());
    let signed = town.purse.sign_outputs(tag, &town.id, outputs);
    signed.await.unwrap();
    let channels = town.restart(channels).await;
    channels.reclaim(true).await;
    assert_eq!(channels.report()[0].stage, ChannelStage::Funded);
    assert!(town.purse.signed(&tag).await.is_none(), "it is forgotten");

    // Funded, and not shown to the relay: it is used, and no other is funded.
    let channels = town.restart(channels).await;
    opened(&channels, &account, &mut relay).await;
    assert_eq!(town.balance().await, FUNDS.saturating_sub(CAPACITY));

    // Paid, and not sent: the relay hears of it when the channel is shown to it again.
    paid(&channels, &account, &mut relay, 10_000).await;
    drop(channels.pay(&account, Msat::new(5_000)).await.unwrap());
    let channels = town.restart(channels).await;
    assert_eq!(channels.report()[0].paid, Msat::new(15_000));
    let open = only(channels.attend(&account, RATE).await);
    let answer = relay.answer(&open);
    assert_eq!(answer.credited, Msat::new(5_000));
    channels.answered(&account, open, &answer).await;
    paid(&channels, &account, &mut relay, 1_000).await;

    // Closed, and the relay has settled.
    only(channels.leave(&account, true).await);
    relay.settle(&town).await;
    let channels = town.restart(channels).await;
    assert_eq!(channels.report()[0].stage, ChannelStage::Closing);
    assert_eq!(channels.reclaim(true).await, Msat::new(65_536 - 16_000));
    assert_eq!(
        town.balance().await,
        FUNDS.saturating_sub(Msat::new(16_000))
    );
    assert!(channels.store.load().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_mint_whose_answer_is_lost_funds_a_channel_once() {
    let proxy = FaultProxy::start().unwrap();
    let other = TestMint::start(MintUnit::Msat).await;
    let mint = TestMint::start_with(other.network(), MintUnit::Msat, Some(proxy.url())).await;
    proxy.aim(mint.addr());
    let town = Town::at(mint, Unit::Msat).await;
    let (channels, _) = town.channels(Msat::MAX).await;
    let (account, mut relay) = (town.account(), town.relay().await);
    for _ in 0..3 {
        proxy.next("/v1/swap", Fault::DropAnswer);
        proxy.next("/v1/restore", Fault::DropAnswer);
    }
    let at_once = channels.attend(&account, RATE).await;
    assert!(at_once.is_empty(), "there is nothing to show yet");
    assert_eq!(channels.report()[0].stage, ChannelStage::Funding);
    while channels.report()[0].stage == ChannelStage::Funding {
        channels.reclaim(true).await;
    }
    opened(&channels, &account, &mut relay).await;
    paid(&channels, &account, &mut relay, 1_000).await;
    assert_eq!(town.balance().await, FUNDS.saturating_sub(CAPACITY));
}

#[tokio::test]
async fn a_mint_that_counts_satoshis_is_paid_whole_ones() {
    let town = Town::at(TestMint::start(MintUnit::Sat).await, Unit::Sat).await;
    let (channels, budget) = town.channels(Msat::MAX).await;
    let (account, mut relay) = (town.account(), town.relay().await);
    opened(&channels, &account, &mut relay).await;
    assert_eq!(channels.report()[0].capacity, Msat::from_sat(64));
    let payment = channels.pay(&account, Msat::new(1_001)).await.unwrap();
    let payment = payment.unwrap();
    let answer = relay.answer(&payment);
    assert_eq!(answer.credited, Msat::from_sat(2));
    assert_eq!(
        channels.answered(&account, payment, &answer).await,
        Next::Rest
    );
    assert_eq!(budget.spent(), Msat::from_sat(2));
    only(channels.leave(&account, true).await);
    relay.settle(&town).await;
    assert_eq!(channels.reclaim(true).await, Msat::from_sat(62));
}

#[tokio::test]
async fn a_client_that_does_not_run_has_its_channels_in_a_file() {
    let town = Town::found().await;
    let (channels, _) = town.channels(Msat::MAX).await;
    let (account, mut relay) = (town.account(), town.relay().await);
    opened(&channels, &account, &mut relay).await;
    paid(&channels, &account, &mut relay, 5_000).await;
    let open = || ChannelFile::open(channels.config.clone(), town.purse.clone());
    assert!(open().await.is_err(), "the client runs");
    only(channels.leave(&account, true).await);
    relay.settle(&town).await;
    channels.shut().await;
    let file = open().await.unwrap();
    let report = &file.channels()[0];
    assert_eq!(
        (report.paid, report.stage),
        (Msat::new(5_000), ChannelStage::Closing)
    );
    assert_eq!(report.locked, Msat::new(65_536 - 5_000));
    assert_eq!(file.reclaim().await, report.locked);
    assert!(file.channels().is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn the_keys_of_channels_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let town = Town::found().await;
    let (channels, _) = town.channels(Msat::MAX).await;
    let mode = std::fs::metadata(&channels.config.file).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_sent() {
    let town = Town::found().await;
    let (channels, _) = town.channels(Msat::MAX).await;
    let (account, mut relay) = (town.account(), town.relay().await);
    opened(&channels, &account, &mut relay).await;
    channels.shut().await;
    let payment = channels.pay(&account, Msat::new(5_000)).await.unwrap();
    assert!(payment.is_none());
    let owner = town.owner();
    let planned = channels.plan(&owner, receiver_key(), 65_536, false);
    assert!(matches!(planned.await.unwrap_err(), ChannelError::Store(_)));
}

#[tokio::test]
async fn a_relay_that_refuses_a_channel_is_paid_with_vouchers() {
    let town = Town::found().await;
    let (channels, budget) = town.channels(Msat::MAX).await;
    let (account, mut relay) = (town.account(), town.relay().await);
    opened(&channels, &account, &mut relay).await;

    // It has forgotten the channel: it is shown again, with its balance.
    let payment = channels.pay(&account, Msat::new(5_000)).await.unwrap();
    let unknown = result(0, Some(UNKNOWN_CHANNEL));
    let next = channels.answered(&account, payment.unwrap(), &unknown);
    assert_eq!(next.await, Next::Attend(Duration::ZERO));
    let none = channels.pay(&account, Msat::new(1_000)).await.unwrap();
    assert!(none.is_none(), "vouchers pay until it is confirmed");
    let open = only(channels.attend(&account, RATE).await);
    let answer = relay.answer(&open);
    assert_eq!(answer.credited, Msat::new(5_000));
    channels.answered(&account, open, &answer).await;

    // It is busy: later.
    let payment = channels.pay(&account, Msat::new(5_000)).await.unwrap();
    let busy = result(0, Some(UNAVAILABLE));
    let next = channels.answered(&account, payment.unwrap(), &busy).await;
    assert!(matches!(next, Next::Attend(pause) if pause > Duration::from_secs(1)));
    assert!(channels.attend(&account, RATE).await.is_empty());

    // The next circuit; the relay goes mad.
    channels.leave(&account, false).await;
    opened(&channels, &account, &mut relay).await;
    let payment = channels.pay(&account, Msat::new(5_000)).await.unwrap();
    let mad = result(0, Some(SIGNATURE));
    channels.answered(&account, payment.unwrap(), &mad).await;
    let close = only(channels.attend(&account, RATE).await);
    assert_eq!(close.offer.method, Offer::CHANNEL_CLOSE);
    assert_eq!(channels.report()[0].stage, ChannelStage::Closing);
    assert!(channels.attend(&account, RATE).await.is_empty());
    let none = channels.pay(&account, Msat::new(1_000)).await.unwrap();
    assert!(none.is_none());
    assert_eq!(budget.spent(), Msat::new(15_000));
    assert_eq!(town.balance().await, FUNDS.saturating_sub(CAPACITY));
}

#[tokio::test]
async fn a_relay_that_takes_money_for_nothing_is_given_no_more() {
    let town = Town::found().await;
    let (channels, _) = town.channels(Msat::MAX).await;
    let (account, mut relay) = (town.account(), town.relay().await);
    opened(&channels, &account, &mut relay).await;
    let payment = channels.pay(&account, Msat::new(5_000)).await.unwrap();
    let answer = result(4_999, None);
    channels.answered(&account, payment.unwrap(), &answer).await;
    assert_eq!(channels.report()[0].stage, ChannelStage::Closing);
}

#[tokio::test]
async fn payments_wait_for_one_another() {
    let town = Town::found().await;
    let (channels, _) = town.channels(Msat::MAX).await;
    let (account, mut relay) = (town.account(), town.relay().await);
    opened(&channels, &account, &mut relay).await;
    let first = channels.pay(&account, Msat::new(5_000)).await.unwrap();
    let first = first.unwrap();
    let mut second = core::pin::pin!(channels.pay(&account, Msat::new(5_000)));
    let mut once = core::task::Context::from_waker(core::task::Waker::noop());
    assert!(second.as_mut().poll(&mut once).is_pending());
    let answer = relay.answer(&first);
    channels.answered(&account, first, &answer).await;
    let second = second.await.unwrap().unwrap();
    assert_eq!(relay.answer(&second).credited, Msat::new(5_000));
}

#[tokio::test]
async fn the_cap_holds_for_channels_and_bounds_their_size() {
    let town = Town::found().await;
    let (channels, budget) = town.channels(Msat::new(40_000)).await;
    let (account, mut relay) = (town.account(), town.relay().await);
    opened(&channels, &account, &mut relay).await;
    let report = &channels.report()[0];
    assert_eq!(report.capacity, Msat::new(32_768));
    // Vouchers were faster.
    budget.spend(Msat::new(35_000)).unwrap();
    let error = channels.pay(&account, Msat::new(5_001)).await.unwrap_err();
    assert!(matches!(error, ClientError::CapReached));
    paid(&channels, &account, &mut relay, 5_000).await;
    assert_eq!(budget.left(), Msat::ZERO);
}

#[tokio::test]
async fn a_channel_that_expires_unsettled_comes_back_whole() {
    let mut town = Town::found().await;
    town.lifetime = Duration::from_secs(3);
    let (channels, _) = town.channels(Msat::MAX).await;
    let account = town.account();
    // The relay is never heard of again.
    only(channels.attend(&account, RATE).await);
    assert_eq!(town.balance().await, FUNDS.saturating_sub(CAPACITY));
    // The mint goes by the clock on the wall.
    let back = async {
        loop {
            let back = channels.reclaim(true).await;
            if !back.is_zero() {
                return back;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let back = tokio::time::timeout(Duration::from_secs(20), back).await;
    assert_eq!(back.unwrap(), CAPACITY);
    assert_eq!(town.balance().await, FUNDS);
    assert!(channels.report().is_empty());
    assert_eq!(town.mint.owes().await, FUNDS);
}
