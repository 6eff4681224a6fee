//! Payment channels on real parts: what opening one takes against a mint on loopback, and how many
//! updates a second a relay takes in, from the bytes on the lane to the disk.
//!
//! `open` is everything that lies between the wish for a channel and its first durable word at the
//! relay: the terms, one swap at the mint, the proofs checked on both sides, every row and ledger
//! entry synced to disk. It runs one after the other.
//!
//! `intake` keeps many channels busy at once, each waiting for its update to be durable before
//! the next: parse, judge, write, with the commits grouped. The updates were signed before. What it
//! costs in processor time, of all threads, is printed after it: the mint is idle then.

use cashu::{Amount, CurrencyUnit, SecretKey};
use coinfuse::store::{AccountKey, ChannelKey, ChannelStage, ChannelWrite, Ledger, LedgerConfig};
use coinfuse_channel::{
    Keyset, Open, Params, Planned, Receiver, Row, Sender, Terms, Unsaved, Update,
};
use coinfuse_testkit::{TestMint, Unit};
use coinfuse_voucher::{MintId, Purse, PurseConfig};
use coinfuse_wire::{Decode, Encode, Msat, UnixTime};
use std::convert::Infallible;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Channels that are opened one after the other.
const OPENINGS: usize = 100;
/// Channels that pay at the same time.
const PAYING: usize = 1_000;
/// Payments of each in a run.
const ROUNDS: u64 = 10;
/// Runs.
const RUNS: usize = 5;
/// Before the expiry of the channels.
const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);
const EXPIRY: UnixTime = UnixTime::from_secs(1_900_086_400);
/// What a channel can pay, in msat.
const CAPACITY: u64 = 1 << 17;

struct World {
    mint: TestMint,
    purse: Purse,
    id: MintId,
    keyset: Keyset,
    terms: Terms,
    ledger: Ledger,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mint = TestMint::start(Unit::Msat).await;
        let id = MintId::new(mint.url(), coinfuse_voucher::Unit::Msat).expect("a mint");
        let purse = fund(folder.path(), &mint, &id).await;
        let published = purse.keyset(&id, true).await.expect("a keyset");
        let keyset = Keyset::new(&published).expect("a good one");
        let mut terms = Terms::new(key(0));
        terms.keysets.push((id.url().to_string(), keyset.clone()));
        terms.max_lifetime = Duration::MAX;
        let ledger = Ledger::open(&folder.path().join("ledger.redb"), LedgerConfig::default());
        Self {
            mint,
            purse,
            id,
            keyset,
            terms,
            ledger: ledger.expect("a ledger"),
            _folder: folder,
        }
    }

    /// Opens a channel; both sides, saved.
    async fn open(&self, number: u64) -> (Sender, Receiver) {
        let key = key(number);
        let params = self.params(&key);
        let planned = Planned::new(params, &self.keyset, &key).expect("good terms");
        let planned = self.kept(planned).await;
        let tag = *planned.id().as_bytes();
        let signed = self.purse.sign_outputs(tag, &self.id, planned.outputs());
        let signed = signed.await.expect("signatures");
        let sender = self.kept(planned.funded(&signed).expect("good ones")).await;
        let open = Open::from_bytes(&sender.open().to_bytes()).expect("an opening");
        let receiver = self.terms.open(NOW, &open).expect("a channel");
        let receiver = self.entered(receiver, number, Amount::ZERO).await;
        (sender, receiver)
    }

    fn params(&self, key: &SecretKey) -> Params {
        Params {
            mint: self.id.url().to_string(),
            unit: CurrencyUnit::Msat,
            capacity: CAPACITY.into(),
            funding_amount: CAPACITY.into(),
            keyset_id: self.keyset.id(),
            input_fee_ppk: self.keyset.input_fee_ppk(),
            max_amount: Amount::ZERO,
            setup: NOW,
            expiry: EXPIRY,
            sender: key.public_key(),
            receiver: self.terms.key.public_key(),
        }
    }

    /// The sender's side has a file like the relay's here.
    async fn kept<S: std::fmt::Debug>(&self, step: Unsaved<S>) -> S {
        let write = |row: Row| self.write(row, 0, Amount::ZERO);
        step.save_async(write).await.expect("it is saved")
    }

    async fn entered<S: std::fmt::Debug>(&self, step: Unsaved<S>, number: u64, paid: Amount) -> S {
        let write = |row: Row| self.write(row, number, paid);
        step.save_async(write).await.expect("it is saved")
    }

    async fn write(&self, row: Row, number: u64, paid: Amount) -> Result<(), Infallible> {
        let mut channel = *row.channel.as_bytes();
        // The two sides share a file, and have parts of the same numbers.
        channel[0] ^= u8::from(number == 0);
        let mut account = [0; 32];
        account[..8].copy_from_slice(&number.to_be_bytes());
        let write = ChannelWrite {
            channel: ChannelKey::new(channel),
            account: AccountKey::new(account),
            part: row.part,
            bytes: row.bytes.to_vec(),
            credited: Msat::new(paid.to_u64()),
            expiry: EXPIRY,
            stage: ChannelStage::Open,
        };
        self.ledger.write_channel(write).await.expect("a write");
        Ok(())
    }
}

fn key(number: u64) -> SecretKey {
    let mut bytes = [1; 32];
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    SecretKey::from_slice(&bytes).expect("a key")
}

async fn fund(folder: &Path, mint: &TestMint, id: &MintId) -> Purse {
    let mut config = PurseConfig::new(folder.join("purse"), vec![id.clone()], [8; 32]);
    config.rate_limit = false;
    let purse = Purse::open(&config).await.expect("a purse");
    let wanted = Msat::new(CAPACITY * (PAYING + OPENINGS + 1) as u64);
    let invoice = purse.fund(id, wanted).await.expect("an invoice");
    mint.pay_invoice(&invoice.bolt11).await;
    let funded = purse.await_funding(&invoice, Duration::from_secs(20)).await;
    funded.expect("money");
    purse
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

fn middle(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| values[(values.len() - 1) * share / 100];
    format!(
        "min {:.2}  p50 {:.2}  p99 {:.2}  max {:.2}",
        at(0),
        at(50),
        at(99),
        at(100)
    )
}

/// Processor time of this process; zero where the system does not tell it this way.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may contain anything: user and system time are the 12th and 13th, in
    // hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// One channel's relay: takes the updates in as they come off the lane.
async fn take(world: &World, number: u64, mut receiver: Receiver, lane: Vec<Vec<u8>>) -> Receiver {
    for bytes in lane {
        let update = Update::from_bytes(&bytes).expect("an update");
        let step = receiver.receive(NOW, &update).expect("a good one");
        receiver = world.entered(step, number, update.balance).await;
    }
    receiver
}

/// Signs ahead what a run presents.
fn sign(mut sender: Sender) -> (Sender, Vec<Vec<u8>>) {
    let mut lane = Vec::new();
    for round in 0..ROUNDS {
        let step = sender.pay(NOW, (200 + round).into()).expect("room");
        sender = step.save(|_| Ok::<_, Infallible>(())).expect("it is saved");
        lane.push(sender.update().to_bytes());
    }
    (sender, lane)
}

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let world: &'static World = Box::leak(Box::new(runtime.block_on(World::start())));
    let (mut parties, mut openings) = (Vec::new(), Vec::new());
    for number in 1..=(PAYING as u64) {
        let begun = now();
        parties.push(runtime.block_on(world.open(number)));
        openings.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    openings.truncate(OPENINGS);
    println!("open    {} ms", middle(openings));

    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let signed: Vec<_> = parties
            .into_iter()
            .map(|(sender, receiver)| (sign(sender), receiver))
            .collect();
        let (cpu, begun) = (processor_time(), now());
        parties = runtime.block_on(async {
            let tasks: Vec<_> = (1u64..)
                .zip(signed)
                .map(|(number, ((sender, lane), receiver))| {
                    let taking = take(world, number, receiver, lane);
                    (sender, tokio::spawn(taking))
                })
                .collect();
            let mut parties = Vec::new();
            for (sender, task) in tasks {
                parties.push((sender, task.await.expect("a channel")));
            }
            parties
        });
        let count = (PAYING as u64 * ROUNDS) as f64;
        rates.push(count / begun.elapsed().as_secs_f64());
        costs.push((processor_time() - cpu).as_secs_f64() * 1e6 / count);
    }
    println!("intake  {} updates/s, durable", middle(rates));
    println!("        {} us of processor time for each", middle(costs));
    runtime.block_on(async {
        world.ledger.close().await.expect("it is written");
        let _owed = world.mint.owes().await;
    });
}
