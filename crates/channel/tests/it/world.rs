//! A sender, a receiver and their mint, each of which can be struck down at any moment. What a
//! party knows is in its memory until it is struck, and on its disk for good.

use super::alice::Alice;
use super::bank::{Bank, BankError};
use super::bob::Bob;
use cashu::dhke::blind_message;
use cashu::{Amount, BlindedMessage, SecretKey, SwapRequest};
use coinfuse_channel::{Coin, Unsaved};
use coinfuse_wire::UnixTime;
use std::collections::BTreeMap;
use std::time::Duration;

/// Long ago: `cashu` judges locktimes by the real clock, so that to the mint every channel here has
/// expired. The parties go by the time of this world.
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_500_000_000);
/// When the channel expires.
pub(crate) const EXPIRY: UnixTime = UnixTime::from_secs(1_500_000_000 + 24 * 3600);
pub(super) const MINT: &str = "https://mint.example";

/// The process was killed.
#[derive(Debug)]
pub(crate) struct Dead;

/// When a process is killed that makes something happen outside of it: writes a row, asks the mint,
/// sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// Before it happens.
    Before,
    /// When it has happened, and the process has not heard so yet.
    After,
}

/// What both parties have in common.
pub(crate) struct World {
    pub(crate) bank: Bank,
    pub(crate) now: UnixTime,
    /// How often something happened outside of a process.
    pub(crate) effects: usize,
    /// Which of them is the last that its process makes.
    pub(crate) fate: Option<(usize, Blow)>,
}

impl World {
    pub(crate) fn new(fate: Option<(usize, Blow)>) -> Self {
        Self {
            bank: Bank::new(12, 100),
            now: NOW,
            effects: 0,
            fate,
        }
    }

    /// Has the bank do something.
    pub(super) fn ask<T>(&mut self, ask: impl FnOnce(&mut Bank) -> T) -> Result<T, Dead> {
        let last = self.begin()?;
        let answer = ask(&mut self.bank);
        Self::end(last)?;
        Ok(answer)
    }

    pub(super) fn begin(&mut self) -> Result<bool, Dead> {
        let place = self.effects;
        self.effects += 1;
        match self.fate.take_if(|(at, _)| *at == place) {
            None => Ok(false),
            Some((_, Blow::After)) => Ok(true),
            Some((_, Blow::Before)) => Err(Dead),
        }
    }

    pub(super) const fn end(last: bool) -> Result<(), Dead> {
        match last {
            true => Err(Dead),
            false => Ok(()),
        }
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
    }

    /// Until the channel has expired.
    pub(crate) fn wait_for_expiry(&mut self) {
        self.now = self.now.max(EXPIRY.saturating_add(Duration::from_secs(1)));
    }
}

/// What survives: rows, and money. A write is durable as a whole or not at all.
#[derive(Debug, Default, Clone)]
pub(crate) struct Disk {
    rows: BTreeMap<u8, Vec<u8>>,
    /// Plain coins, by where they came from.
    purse: BTreeMap<&'static str, u64>,
    /// What the receiver has credited to the sender's account.
    pub(crate) credited: u64,
}

impl Disk {
    /// Writes a row, and credits in the same transaction.
    pub(super) fn save<S>(
        &mut self,
        world: &mut World,
        step: Unsaved<S>,
        credit: u64,
    ) -> Result<S, Dead> {
        step.save(|row| {
            let last = world.begin()?;
            self.rows.insert(row.part, row.bytes.to_vec());
            self.credited += credit;
            World::end(last)
        })
        .map_err(|not_saved| not_saved.error)
    }

    pub(crate) fn rows(&self) -> Vec<(u8, Vec<u8>)> {
        let rows = self.rows.iter();
        rows.map(|(part, bytes)| (*part, bytes.clone())).collect()
    }

    pub(crate) fn money(&self) -> u64 {
        self.purse.values().sum()
    }

    /// Whether there is money from there.
    pub(crate) fn has(&self, from: &str) -> bool {
        self.purse.contains_key(from)
    }

    /// Swaps coins for plain ones, or finds out that this was done before.
    pub(super) fn collect(
        &mut self,
        world: &mut World,
        from: &'static str,
        swap: SwapRequest,
    ) -> Result<(), Dead> {
        let outputs = swap.outputs().clone();
        match world.ask(|bank| bank.swap(&swap))? {
            Ok(_) => {}
            Err(BankError::Spent) => assert!(world.bank.restore_all(&outputs).is_some()),
            Err(error) => panic!("{error:?}"),
        }
        self.keep(world, from, &outputs)
    }

    pub(super) fn keep(
        &mut self,
        world: &mut World,
        from: &'static str,
        coins: &[BlindedMessage],
    ) -> Result<(), Dead> {
        let last = world.begin()?;
        let sum = coins.iter().map(|coin| coin.amount.to_u64()).sum();
        self.purse.insert(from, sum);
        World::end(last)
    }

    /// The coins of a settled channel.
    pub(super) fn take(
        &mut self,
        world: &mut World,
        from: &'static str,
        coins: &[Coin],
    ) -> Result<(), Dead> {
        let sum: u64 = coins.iter().map(|coin| coin.amount().to_u64()).sum();
        let worth = sum.saturating_sub(world.bank.fee(coins.len()));
        if worth == 0 {
            // They cost as much to spend, and stay what they are.
            self.purse.insert(from, sum);
            return Ok(());
        }
        let inputs = coins.iter().map(Coin::signed).collect();
        let swap = SwapRequest::new(inputs, plain(&world.bank, from, worth));
        self.collect(world, from, swap)
    }
}

/// Plain outputs, the same whenever they are asked for.
pub(super) fn plain(bank: &Bank, tag: &str, amount: u64) -> Vec<BlindedMessage> {
    let keyset = bank.keyset();
    let coins = keyset.ladder(Amount::ZERO).split(amount.into()).unwrap();
    let coins = coins
        .into_iter()
        .flat_map(|(amount, number)| (0..number).map(move |index| (amount, index)));
    coins
        .map(|(amount, index)| {
            let secret = format!("{tag} {amount} {index}");
            let (point, _) = blind_message(secret.as_bytes(), Some(key(42))).unwrap();
            BlindedMessage::new(amount, keyset.id(), point)
        })
        .collect()
}

pub(super) fn key(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).unwrap()
}

/// No money appeared or vanished, whoever has it.
pub(crate) fn check_money(world: &World, alice: &Alice, bob: &Bob) {
    let kept = alice.disk.money() + bob.disk.money();
    assert_eq!(kept + world.bank.fees, world.bank.sold);
}
