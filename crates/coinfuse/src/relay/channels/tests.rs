use super::*;
use crate::store::{AccountKey, ChannelTotals, LedgerConfig, StageKind};
use cashu::{Amount, BlindSignature, BlindedMessage, CurrencyUnit, Id, Keys};
use coinfuse_channel::{Params, Planned, Sender, Unsaved};
use coinfuse_wire::{Encode, Msat};
use core::future::Future;
use core::task::{Context, Waker};
use core::time::Duration;
use std::collections::BTreeMap;
use std::convert::Infallible;
use tempfile::TempDir;

const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MINT: &str = "https://mint.example";
const ALICE: AccountKey = AccountKey::new([1; 32]);
const MALLORY: AccountKey = AccountKey::new([2; 32]);

fn key(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).unwrap()
}

fn saved<S: fmt::Debug>(step: Unsaved<S>) -> S {
    step.save(|_| Ok::<_, Infallible>(())).unwrap()
}

fn mint(unit: Unit) -> MintId {
    MintId::new(MINT, unit).unwrap()
}

/// Signs whatever it is given.
struct Bank {
    secrets: BTreeMap<u64, SecretKey>,
    published: KeySet,
}

impl Bank {
    fn new(unit: CurrencyUnit) -> Self {
        let secrets: BTreeMap<u64, SecretKey> =
            (0..24u8).map(|bit| (1 << bit, key(bit + 50))).collect();
        let keys = secrets
            .iter()
            .map(|(amount, key)| (Amount::from(*amount), key.public_key()));
        let keys = Keys::new(keys.collect());
        let published = KeySet {
            id: Id::v2_from_data(&keys, &unit, 0, None),
            unit,
            active: Some(true),
            keys,
            input_fee_ppk: 0,
            final_expiry: None,
        };
        Self { secrets, published }
    }

    fn sign(&self, output: &BlindedMessage) -> BlindSignature {
        let key = &self.secrets[&output.amount.to_u64()];
        let c = output
            .blinded_secret
            .mul_tweak(&cashu::SECP256K1, &key.as_scalar());
        let mut signature = BlindSignature {
            amount: output.amount,
            keyset_id: output.keyset_id,
            c: c.unwrap().into(),
            dleq: None,
        };
        signature
            .add_dleq_proof(&output.blinded_secret, key)
            .unwrap();
        signature
    }

    /// A channel to the relay that is funded.
    fn fund(&self, sender: u8, capacity: u64) -> Client {
        let params = Params {
            mint: MINT.into(),
            unit: self.published.unit.clone(),
            capacity: capacity.into(),
            funding_amount: capacity.into(),
            keyset_id: self.published.id,
            input_fee_ppk: 0,
            max_amount: Amount::ZERO,
            setup: NOW,
            expiry: NOW.saturating_add(DAY),
            sender: key(sender).public_key(),
            receiver: key(9).public_key(),
        };
        let keyset = Keyset::new(&self.published).unwrap();
        let planned = saved(Planned::new(params, &keyset, &key(sender)).unwrap());
        let signatures: Vec<_> = planned.outputs().iter().map(|o| self.sign(o)).collect();
        Client(Some(saved(planned.funded(&signatures).unwrap())))
    }
}

struct Client(Option<Sender>);

impl Client {
    fn sender(&self) -> &Sender {
        self.0.as_ref().unwrap()
    }

    fn open(&self) -> Vec<u8> {
        self.sender().open().to_bytes()
    }

    fn update(&self) -> Vec<u8> {
        self.sender().update().to_bytes()
    }

    /// Adds `amount` and gives the update.
    fn pay(&mut self, amount: u64) -> Vec<u8> {
        let sender = self.0.take().unwrap();
        self.0 = Some(saved(sender.pay(NOW, amount.into()).unwrap()));
        self.update()
    }
}

/// A relay's channels on a ledger in a folder.
struct Shop {
    folder: TempDir,
    bank: Bank,
    channels: Channels,
}

impl Shop {
    fn open() -> Self {
        Self::with(ChannelPolicy::default(), CurrencyUnit::Msat)
    }

    fn with(policy: ChannelPolicy, unit: CurrencyUnit) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bank = Bank::new(unit);
        let channels = start(&folder, policy);
        let shop = Self {
            folder,
            bank,
            channels,
        };
        shop.learn();
        shop
    }

    fn learn(&self) {
        let unit = Unit::from_cashu(&self.bank.published.unit).unwrap();
        self.channels
            .learn(&mint(unit), &self.bank.published)
            .unwrap();
    }

    /// Ends and starts again from what is on disk.
    async fn restart(&mut self) {
        let policy = self.channels.policy().clone();
        self.channels.ledger().close().await.unwrap();
        self.channels = start(&self.folder, policy);
        self.learn();
    }

    fn present(&self, account: AccountKey, act: Act, payment: &[u8]) -> Presented {
        self.channels.present(NOW, account, act, payment)
    }

    async fn take(&self, account: AccountKey, act: Act, payment: &[u8]) -> Result<u64, Refusal> {
        let credited = self.present(account, act, payment).commit().await;
        credited.map(Msat::get)
    }

    /// For the account of an honest client.
    async fn pay(&self, act: Act, payment: &[u8]) -> Result<u64, Refusal> {
        self.take(ALICE, act, payment).await
    }

    fn credit(&self, account: AccountKey) -> u64 {
        self.channels
            .ledger()
            .load(&account)
            .unwrap()
            .credited
            .get()
    }

    fn totals(&self) -> ChannelTotals {
        self.channels.ledger().totals().unwrap().channels
    }

    fn count(&self, stage: StageKind) -> usize {
        let ledger = self.channels.ledger();
        ledger.channels(stage, None, None, 100).unwrap().len()
    }
}

fn start(folder: &TempDir, policy: ChannelPolicy) -> Channels {
    let path = folder.path().join("ledger");
    let ledger = Ledger::open(&path, LedgerConfig::default()).unwrap();
    let mints = vec![mint(Unit::Msat), mint(Unit::Sat)];
    Channels::new([9; 32], mints, ledger, policy).unwrap()
}

#[tokio::test]
async fn every_payment_is_credited_once() {
    let shop = Shop::open();
    let mut client = shop.bank.fund(1, 1000);
    assert_eq!(shop.pay(Act::Open, &client.open()).await, Ok(0));
    let ten = client.pay(10);
    assert_eq!(shop.pay(Act::Update, &ten).await, Ok(10));
    assert_eq!(shop.pay(Act::Update, &ten).await, Ok(0), "a replay");
    assert_eq!(shop.pay(Act::Update, &client.pay(15)).await, Ok(15));
    assert_eq!(
        shop.pay(Act::Update, &ten).await,
        Err(Refusal::LowerBalance {
            balance: 10,
            paid: 25
        })
    );
    client.pay(5);
    assert_eq!(shop.pay(Act::Open, &client.open()).await, Ok(5), "known");
    assert_eq!(shop.pay(Act::Open, &client.open()).await, Ok(0), "again");
    assert_eq!(shop.credit(ALICE), 30);
    let totals = shop.totals();
    assert_eq!((totals.opened, totals.updates), (1, 3));
    assert_eq!(totals.paid.get(), 30);
}

#[tokio::test]
async fn a_channel_can_pay_with_its_opening() {
    let shop = Shop::open();
    let mut client = shop.bank.fund(1, 1000);
    client.pay(40);
    assert_eq!(shop.pay(Act::Open, &client.open()).await, Ok(40));
    assert_eq!(shop.credit(ALICE), 40);
}

#[tokio::test]
async fn what_satoshi_pay_is_counted_in_msat() {
    let shop = Shop::with(ChannelPolicy::default(), CurrencyUnit::Sat);
    let mut client = shop.bank.fund(1, 1000);
    assert_eq!(shop.pay(Act::Open, &client.open()).await, Ok(0));
    assert_eq!(shop.pay(Act::Update, &client.pay(3)).await, Ok(3000));
    assert_eq!(shop.credit(ALICE), 3000);
}

#[tokio::test]
async fn an_update_is_judged_at_once_if_nobody_else_is_at_it() {
    let shop = Shop::open();
    let mut client = shop.bank.fund(1, 1000);
    shop.pay(Act::Open, &client.open()).await.unwrap();
    let first = shop.present(ALICE, Act::Update, &client.pay(10));
    let second = shop.present(ALICE, Act::Update, &client.pay(20));
    assert_eq!(first.gain().get(), 10, "served ahead");
    assert_eq!(second.gain().get(), 0, "it comes after the first");
    let (second, first) = tokio::join!(second.commit(), first.commit());
    assert_eq!((first.unwrap().get(), second.unwrap().get()), (10, 20));
    assert_eq!(shop.credit(ALICE), 30);
}

#[tokio::test]
async fn the_same_update_on_two_ways_pays_once() {
    let shop = Shop::open();
    let mut client = shop.bank.fund(1, 1000);
    shop.pay(Act::Open, &client.open()).await.unwrap();
    let update = client.pay(10);
    let (one, other) = tokio::join!(
        shop.pay(Act::Update, &update),
        shop.pay(Act::Update, &update)
    );
    assert_eq!(one.unwrap() + other.unwrap(), 10);
    assert_eq!(shop.credit(ALICE), 10);
}

#[tokio::test]
async fn two_openings_at_once_are_one_channel() {
    let shop = Shop::open();
    let mut client = shop.bank.fund(1, 1000);
    client.pay(10);
    let open = client.open();
    let (one, other) = tokio::join!(shop.pay(Act::Open, &open), shop.pay(Act::Open, &open));
    assert_eq!(one.unwrap() + other.unwrap(), 10);
    assert_eq!(shop.totals().opened, 1);
}

#[tokio::test]
async fn after_a_restart_it_goes_on_where_it_was() {
    let mut shop = Shop::open();
    let mut client = shop.bank.fund(1, 1000);
    shop.pay(Act::Open, &client.open()).await.unwrap();
    let ten = client.pay(10);
    shop.pay(Act::Update, &ten).await.unwrap();
    shop.restart().await;
    assert_eq!(shop.pay(Act::Update, &ten).await, Ok(0));
    assert_eq!(shop.pay(Act::Update, &client.pay(7)).await, Ok(7));
    assert_eq!(shop.credit(ALICE), 17);
}

#[tokio::test]
async fn a_payment_that_is_given_up_leaves_nothing_wrong_behind() {
    let shop = Shop::open();
    let mut client = shop.bank.fund(1, 1000);
    shop.pay(Act::Open, &client.open()).await.unwrap();
    let ten = client.pay(10);
    drop(shop.present(ALICE, Act::Update, &ten));
    assert_eq!(shop.credit(ALICE), 0);
    assert_eq!(shop.pay(Act::Update, &ten).await, Ok(10));

    // On its way to the disk when nobody waits any more: it happens all the same.
    let (thirty, forty) = (client.pay(20), client.pay(10));
    {
        let commit = shop.present(ALICE, Act::Update, &forty).commit();
        assert!(waits(core::pin::pin!(commit)));
    }
    assert_eq!(
        shop.pay(Act::Update, &thirty).await,
        Err(Refusal::LowerBalance {
            balance: 30,
            paid: 40
        })
    );
    assert_eq!(shop.pay(Act::Update, &forty).await, Ok(0));
    assert_eq!(shop.credit(ALICE), 40);
}

/// Polls once; true if it waits.
fn waits<F: Future>(future: core::pin::Pin<&mut F>) -> bool {
    let mut nobody = Context::from_waker(Waker::noop());
    future.poll(&mut nobody).is_pending()
}

#[tokio::test]
async fn an_opening_that_is_given_up_on_its_way_to_the_disk_counts() {
    let shop = Shop::open();
    let mut client = shop.bank.fund(1, 1000);
    let nothing = client.open();
    client.pay(10);
    let (book, open) = (&shop.channels.0, client.sender().open());
    {
        let mut entry = book.enter(open.update.channel).await.unwrap();
        let step = book.open(NOW, ALICE, open).await.unwrap();
        assert!(waits(core::pin::pin!(book.save(&mut entry, step))));
    }
    assert_eq!(
        shop.pay(Act::Open, &nothing).await,
        Err(Refusal::LowerBalance {
            balance: 0,
            paid: 10
        })
    );
    assert_eq!(shop.pay(Act::Open, &client.open()).await, Ok(0));
    assert_eq!(shop.credit(ALICE), 10);
}

#[tokio::test]
async fn whoever_waits_for_a_channel_gets_the_same_one_as_who_comes_later() {
    let shop = Shop::open();
    let (slots, id) = (&shop.channels.0.slots, ChannelId::new([7; 32]));
    let first = slots.enter(id).await.unwrap();
    let mut second = core::pin::pin!(slots.enter(id));
    assert!(waits(second.as_mut()));
    drop(first);
    let second = second.await.unwrap();
    let mut third = core::pin::pin!(slots.enter(id));
    assert!(waits(third.as_mut()), "the second has it");
    drop(second);
    drop(third.await.unwrap());
    assert_eq!(slots.len(), 0);
}

#[tokio::test]
async fn a_channel_pays_for_the_account_that_opened_it() {
    let mut shop = Shop::open();
    let mut client = shop.bank.fund(1, 1000);
    shop.pay(Act::Open, &client.open()).await.unwrap();
    let update = client.pay(10);
    for loaded in [true, false] {
        if !loaded {
            shop.restart().await;
        }
        for (act, payment) in [
            (Act::Open, client.open()),
            (Act::Update, update.clone()),
            (Act::Close, update.clone()),
        ] {
            let theirs = shop.take(MALLORY, act, &payment).await;
            assert_eq!(theirs, Err(Refusal::OtherAccount), "{act:?}, {loaded}");
        }
    }
    assert_eq!(shop.pay(Act::Update, &update).await, Ok(10));
    assert_eq!((shop.credit(ALICE), shop.credit(MALLORY)), (10, 0));
}

#[tokio::test]
async fn a_channel_that_is_about_to_expire_buys_nothing() {
    let shop = Shop::open();
    let mut client = shop.bank.fund(1, 1000);
    shop.pay(Act::Open, &client.open()).await.unwrap();
    let late = NOW.saturating_add(DAY - Duration::from_secs(600));
    let update = client.pay(10);
    let refused = shop.channels.present(late, ALICE, Act::Update, &update);
    assert_eq!(refused.gain(), Msat::ZERO);
    assert_eq!(refused.commit().await, Err(Refusal::Expired));
    let closed = shop.channels.present(late, ALICE, Act::Close, &update);
    assert_eq!(closed.commit().await, Ok(Msat::ZERO));
    assert_eq!(shop.credit(ALICE), 0);
    assert_eq!(shop.count(StageKind::Closing), 1);
}

#[tokio::test]
async fn a_closed_channel_has_taken_all_and_takes_no_more() {
    let mut shop = Shop::open();
    let mut client = shop.bank.fund(1, 1000);
    shop.pay(Act::Open, &client.open()).await.unwrap();
    let ten = client.pay(10);
    assert_eq!(shop.pay(Act::Close, &ten).await, Ok(10));
    for loaded in [true, false] {
        if !loaded {
            shop.restart().await;
        }
        assert_eq!(shop.pay(Act::Close, &ten).await, Ok(0), "{loaded}");
        let more = client.pay(1);
        assert_eq!(shop.pay(Act::Close, &more).await, Ok(0), "{loaded}");
        for (act, payment) in [(Act::Update, more), (Act::Open, client.open())] {
            let taken = shop.pay(act, &payment).await;
            assert_eq!(taken, Err(Refusal::Closed), "{act:?}, {loaded}");
        }
    }
    assert_eq!(shop.credit(ALICE), 10);
    assert_eq!(shop.count(StageKind::Closing), 1);
    assert_eq!(shop.channels.0.slots.len(), 0, "nothing stays in memory");
}

#[tokio::test]
async fn a_channel_is_closed_by_a_word_that_pays_nothing_but_not_by_a_forged_one() {
    let shop = Shop::open();
    let mut client = shop.bank.fund(1, 1000);
    shop.pay(Act::Open, &client.open()).await.unwrap();
    let ten = client.pay(10);
    let mut forged = client.pay(10);
    forged[40] ^= 1;
    assert_eq!(shop.pay(Act::Close, &forged).await, Err(Refusal::Signature));
    assert_eq!(shop.pay(Act::Update, &client.update()).await, Ok(20));
    assert_eq!(shop.pay(Act::Close, &ten).await, Ok(0));
    assert_eq!(shop.count(StageKind::Closing), 1);
}

#[tokio::test]
async fn strangers_leave_no_trace_in_memory() {
    let shop = Shop::open();
    for sender in 1..20 {
        let mut client = shop.bank.fund(sender, 1000);
        for act in [Act::Update, Act::Close] {
            let refused = shop.pay(act, &client.pay(1)).await;
            assert_eq!(refused, Err(Refusal::UnknownChannel));
        }
    }
    for (act, payment) in [(Act::Update, &[0; 50]), (Act::Open, &[0; 50])] {
        assert_eq!(shop.pay(act, payment).await, Err(Refusal::Malformed));
    }
    assert_eq!(shop.channels.0.slots.len(), 0);
}

#[tokio::test]
async fn channels_come_and_go_from_memory_and_lose_nothing() {
    let policy = ChannelPolicy {
        max_loaded: 2,
        ..ChannelPolicy::default()
    };
    let shop = Shop::with(policy, CurrencyUnit::Msat);
    let mut clients: Vec<_> = (1..6).map(|sender| shop.bank.fund(sender, 1000)).collect();
    for client in &clients {
        assert_eq!(shop.pay(Act::Open, &client.open()).await, Ok(0));
    }
    for amount in 1..4 {
        for client in &mut clients {
            let paid = shop.pay(Act::Update, &client.pay(amount)).await;
            assert_eq!(paid, Ok(amount));
        }
        assert!(shop.channels.0.slots.len() <= 2);
    }
    assert_eq!(shop.credit(ALICE), 5 * (1 + 2 + 3));
}

#[tokio::test]
async fn all_channels_in_work_are_too_many() {
    let policy = ChannelPolicy {
        max_loaded: 1,
        ..ChannelPolicy::default()
    };
    let shop = Shop::with(policy, CurrencyUnit::Msat);
    let (mut client, other) = (shop.bank.fund(1, 1000), shop.bank.fund(2, 1000));
    shop.pay(Act::Open, &client.open()).await.unwrap();
    let held = shop.present(ALICE, Act::Update, &client.pay(1));
    assert_eq!(
        shop.pay(Act::Open, &other.open()).await,
        Err(Refusal::TooManyChannels)
    );
    assert_eq!(held.commit().await.unwrap().get(), 1);
    assert_eq!(shop.pay(Act::Open, &other.open()).await, Ok(0));
}

#[tokio::test]
async fn the_number_of_channels_is_limited() {
    let mut policy = ChannelPolicy::default();
    (policy.max_per_account, policy.max_unsettled) = (2, 3);
    let shop = Shop::with(policy, CurrencyUnit::Msat);
    let opens: Vec<_> = (1..5).map(|s| shop.bank.fund(s, 1000).open()).collect();
    assert_eq!(shop.pay(Act::Open, &opens[0]).await, Ok(0));
    assert_eq!(shop.pay(Act::Open, &opens[1]).await, Ok(0));
    let many = Err(Refusal::TooManyChannels);
    assert_eq!(shop.pay(Act::Open, &opens[2]).await, many, "of an account");
    assert_eq!(shop.take(MALLORY, Act::Open, &opens[2]).await, Ok(0));
    let theirs = shop.take(MALLORY, Act::Open, &opens[3]).await;
    assert_eq!(theirs, many, "in total");
}

#[tokio::test]
async fn the_operator_limits_what_is_at_stake_in_a_channel() {
    let mut policy = ChannelPolicy::default();
    (policy.min_capacity, policy.max_capacity) = (Msat::new(2000), Msat::new(5000));
    let shop = Shop::with(policy, CurrencyUnit::Sat);
    let open = |capacity| shop.bank.fund(1, capacity).open();
    assert_eq!(
        shop.pay(Act::Open, &open(1)).await,
        Err(Refusal::CapacityTooSmall { got: 1, least: 2 })
    );
    assert_eq!(
        shop.pay(Act::Open, &open(6)).await,
        Err(Refusal::CapacityTooLarge { got: 6, most: 5 })
    );
    assert_eq!(shop.pay(Act::Open, &open(5)).await, Ok(0));
}

#[tokio::test]
async fn a_keyset_that_may_be_new_is_asked_for_before_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop {
        channels: start(&folder, ChannelPolicy::default()),
        folder,
        bank: Bank::new(CurrencyUnit::Msat),
    };
    let open = shop.bank.fund(1, 1000).open();
    assert_eq!(
        shop.pay(Act::Open, &open).await,
        Err(Refusal::Unavailable),
        "the mint has not answered yet"
    );
    shop.channels.keysets_wanted().await;
    shop.channels.keysets_asked(NOW);
    assert_eq!(shop.pay(Act::Open, &open).await, Err(Refusal::UnknownMint));
    shop.learn();
    assert_eq!(shop.pay(Act::Open, &open).await, Ok(0));
}

#[tokio::test]
async fn without_a_ledger_nothing_is_taken() {
    let shop = Shop::open();
    let mut client = shop.bank.fund(1, 1000);
    shop.pay(Act::Open, &client.open()).await.unwrap();
    shop.channels.ledger().close().await.unwrap();
    let update = client.pay(10);
    for _ in 0..2 {
        let refused = shop.pay(Act::Update, &update).await;
        assert_eq!(refused, Err(Refusal::Unavailable));
    }
}
