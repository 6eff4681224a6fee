//! A sender, a receiver and their mint, each of which can be struck down at any moment. What a
//! party knows is in its memory until it is struck, and on its disk for good.

use super::bank::{Bank, BankError};
use cashu::dhke::blind_message;
use cashu::{Amount, BlindSignature, BlindedMessage, SecretKey, SwapRequest};
use coinfuse_channel::*;
use coinfuse_wire::{Decode, Encode, UnixTime};
use std::collections::BTreeMap;
use std::time::Duration;

/// Long ago: `cashu` judges locktimes by the real clock, so that to the mint every channel here has
/// expired. The parties go by the time of this world.
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_500_000_000);
/// When the channel expires.
pub(crate) const EXPIRY: UnixTime = UnixTime::from_secs(1_500_000_000 + 24 * 3600);
const MINT: &str = "https://mint.example";

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
    fn ask<T>(&mut self, ask: impl FnOnce(&mut Bank) -> T) -> Result<T, Dead> {
        let last = self.begin()?;
        let answer = ask(&mut self.bank);
        Self::end(last)?;
        Ok(answer)
    }

    fn begin(&mut self) -> Result<bool, Dead> {
        let place = self.effects;
        self.effects += 1;
        match self.fate.take_if(|(at, _)| *at == place) {
            None => Ok(false),
            Some((_, Blow::After)) => Ok(true),
            Some((_, Blow::Before)) => Err(Dead),
        }
    }

    const fn end(last: bool) -> Result<(), Dead> {
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
    fn save<S>(&mut self, world: &mut World, step: Unsaved<S>, credit: u64) -> Result<S, Dead> {
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
    fn collect(
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

    fn keep(
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
    fn take(&mut self, world: &mut World, from: &'static str, coins: &[Coin]) -> Result<(), Dead> {
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
fn plain(bank: &Bank, tag: &str, amount: u64) -> Vec<BlindedMessage> {
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

fn key(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).unwrap()
}

/// The sender.
pub(crate) struct Alice {
    pub(crate) disk: Disk,
    memory: Option<SenderState>,
    /// What the receiver has confirmed; and that it has, since the last blow.
    confirmed: Option<Amount>,
    params: Params,
    keyset: Keyset,
}

/// The receiver.
pub(crate) struct Bob {
    pub(crate) disk: Disk,
    memory: Option<ReceiverState>,
    terms: Terms,
}

/// What the receiver says to a message, if it lives.
type Answer = Option<Result<Amount, Refusal>>;

impl Alice {
    pub(crate) fn new(world: &World, capacity: u64) -> Self {
        let keyset = world.bank.keyset();
        let ladder = keyset.ladder(Amount::ZERO);
        let value = ladder.before_fees(capacity.into()).unwrap();
        Self {
            disk: Disk::default(),
            memory: None,
            confirmed: None,
            params: Params {
                mint: MINT.into(),
                unit: keyset.unit().clone(),
                capacity: capacity.into(),
                funding_amount: ladder.before_fees(value).unwrap(),
                keyset_id: keyset.id(),
                input_fee_ppk: keyset.input_fee_ppk(),
                max_amount: Amount::ZERO,
                setup: NOW,
                expiry: EXPIRY,
                sender: key(1).public_key(),
                receiver: key(2).public_key(),
            },
            keyset,
        }
    }

    /// The process ends and starts again.
    pub(crate) fn forget(&mut self) {
        self.reload();
        self.confirmed = None;
    }

    /// The machine is dropped, and loaded when it is needed.
    pub(crate) fn reload(&mut self) {
        self.memory = None;
    }

    /// What a new process would know.
    pub(crate) fn state(&self) -> Option<SenderState> {
        let rows = self.disk.rows();
        (!rows.is_empty()).then(|| Sender::load(&rows).unwrap())
    }

    /// What is written down as paid, from the opening until all is done.
    pub(crate) fn paid(&self) -> Option<u64> {
        match self.state()? {
            SenderState::Open(sender) => Some(sender.balance().to_u64()),
            SenderState::Closing(closing) => Some(closing.update().balance.to_u64()),
            _ => None,
        }
    }

    /// Lives through one step; a blow takes its memory.
    fn live(
        &mut self,
        step: impl FnOnce(&mut Self, Option<SenderState>) -> Result<Option<SenderState>, Dead>,
    ) {
        let memory = self.memory.take().or_else(|| self.state());
        match step(self, memory) {
            Ok(state) => self.memory = state,
            Err(Dead) => self.forget(),
        }
    }

    /// Does the next thing on the way to having paid `wants`, one after the other, and to having
    /// all that is left.
    pub(crate) fn turn(&mut self, world: &mut World, bob: &mut Bob, wants: &[u64]) {
        self.live(|alice, state| match state {
            Some(SenderState::Open(sender)) => {
                let sender = match alice.confirmed {
                    Some(balance) if balance == sender.balance() => sender,
                    _ => return alice.tell(world, bob, sender).map(Some),
                };
                let paid = sender.balance().to_u64();
                match wants.iter().find(|want| **want > paid) {
                    Some(want) => alice.pay(world, sender, want - paid).map(Some),
                    None => alice.close(world, sender).map(Some),
                }
            }
            state => alice.work(world, state),
        });
    }

    /// Does what needs no decision: plans, funds, and takes back what is left.
    pub(crate) fn drive(&mut self, world: &mut World) {
        self.live(|alice, state| alice.work(world, state));
    }

    /// Pays, if there is a channel and it has enough.
    pub(crate) fn spend(&mut self, world: &mut World, amount: u64) {
        self.live(|alice, state| match state {
            Some(SenderState::Open(sender)) => alice.pay(world, sender, amount).map(Some),
            state => Ok(state),
        });
    }

    /// Closes the channel, if it is open.
    pub(crate) fn hang_up(&mut self, world: &mut World) {
        self.live(|alice, state| match state {
            Some(SenderState::Open(sender)) => alice.close(world, sender).map(Some),
            state => Ok(state),
        });
    }

    /// Sends the present balance.
    pub(crate) fn speak(&mut self, world: &mut World, bob: &mut Bob) {
        self.live(|alice, state| match state {
            Some(SenderState::Open(sender)) => alice.tell(world, bob, sender).map(Some),
            state => Ok(state),
        });
    }

    /// What could be sent now: an opening and an update.
    pub(crate) fn words(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        match self.state()? {
            SenderState::Open(sender) => {
                Some((sender.open().to_bytes(), sender.update().to_bytes()))
            }
            _ => None,
        }
    }

    fn work(
        &mut self,
        world: &mut World,
        state: Option<SenderState>,
    ) -> Result<Option<SenderState>, Dead> {
        Ok(Some(match state {
            None => {
                let step = Planned::new(self.params.clone(), &self.keyset, &key(1));
                SenderState::Planned(self.disk.save(world, step.unwrap(), 0)?)
            }
            Some(SenderState::Planned(planned)) => self.fund(world, planned)?,
            Some(SenderState::Closing(closing)) => self.reclaim(world, closing)?,
            Some(state) => state,
        }))
    }

    fn fund(&mut self, world: &mut World, planned: Planned) -> Result<SenderState, Dead> {
        let outputs = planned.outputs();
        if planned.params().keyset_id != world.bank.published.id
            && world.bank.restore_all(&outputs).is_none()
        {
            // The mint has retired the keyset before it was asked.
            return Ok(SenderState::Done(self.disk.save(
                world,
                planned.abandon(),
                0,
            )?));
        }
        let signatures = match world.bank.restore_all(&outputs) {
            Some(signatures) => signatures,
            None => world.ask(|bank| bank.issue(&outputs))?,
        };
        let step = planned.funded(&signatures).unwrap();
        Ok(SenderState::Open(self.disk.save(world, step, 0)?))
    }

    fn pay(&mut self, world: &mut World, sender: Sender, amount: u64) -> Result<SenderState, Dead> {
        Ok(SenderState::Open(
            match sender.pay(world.now, amount.into()) {
                Ok(step) => self.disk.save(world, step, 0)?,
                Err(unmoved) => unmoved.state,
            },
        ))
    }

    fn close(&mut self, world: &mut World, sender: Sender) -> Result<SenderState, Dead> {
        let closing = self.disk.save(world, sender.close(), 0)?;
        Ok(SenderState::Closing(closing))
    }

    fn tell(
        &mut self,
        world: &mut World,
        bob: &mut Bob,
        sender: Sender,
    ) -> Result<SenderState, Dead> {
        let last = world.begin()?;
        let answer = match self.confirmed {
            Some(_) => bob.hear_update(world, &sender.update().to_bytes()),
            None => bob.hear_open(world, &sender.open().to_bytes()),
        };
        World::end(last)?;
        match answer {
            Some(Ok(balance)) => self.confirmed = Some(balance),
            Some(Err(Refusal::UnknownChannel)) => self.confirmed = None,
            Some(Err(_)) => return self.close(world, sender),
            None => {}
        }
        Ok(SenderState::Open(sender))
    }

    fn reclaim(&mut self, world: &mut World, closing: Closing) -> Result<SenderState, Dead> {
        let sum = closing.params().funding_amount.to_u64();
        let refund = plain(
            &world.bank,
            "refund",
            sum - world.bank.fee(self.proofs(&closing)),
        );
        let settled = world.bank.is_spent(&closing.watch().unwrap());
        if world.bank.restore_all(&refund).is_some() {
            self.disk.keep(world, "refund", &refund)?;
        } else if settled {
            self.disk
                .take(world, "remainder", &search(world, &closing))?;
        } else if let Ok(way) = closing.refund(world.now) {
            let mut swap = SwapRequest::new(way.inputs().to_vec(), refund);
            way.sign(&mut swap);
            self.disk.collect(world, "refund", swap)?;
        } else {
            return Ok(SenderState::Closing(closing));
        }
        let done = self.disk.save(world, closing.done(), 0)?;
        Ok(SenderState::Done(done))
    }

    fn proofs(&self, closing: &Closing) -> usize {
        let ladder = self.keyset.ladder(Amount::ZERO);
        let proofs = ladder.outputs(closing.params().funding_amount).unwrap();
        usize::try_from(proofs).unwrap()
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state(), Some(SenderState::Open(_)))
    }

    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.state(), Some(SenderState::Closing(_)))
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state(), Some(SenderState::Done(_)))
    }
}

fn search(world: &World, closing: &Closing) -> Vec<Coin> {
    let keysets = world.bank.keysets();
    let mut search = closing.search(&keysets);
    while let Some(question) = search.question().unwrap() {
        search.answer(&world.bank.restore(&question)).unwrap();
    }
    search.found()
}

impl Bob {
    pub(crate) fn new(world: &World) -> Self {
        let mut terms = Terms::new(key(2));
        terms.keysets.push((MINT.into(), world.bank.keyset()));
        Self {
            disk: Disk::default(),
            memory: None,
            terms,
        }
    }

    /// The process ends and starts again.
    pub(crate) fn forget(&mut self) {
        self.memory = None;
    }

    /// What a new process would know.
    pub(crate) fn state(&self) -> Option<ReceiverState> {
        let rows = self.disk.rows();
        (!rows.is_empty()).then(|| Receiver::load(&self.terms, &rows).unwrap())
    }

    /// What is written down as paid, while the channel is not over.
    pub(crate) fn balance(&self) -> Option<u64> {
        Some(match self.state()? {
            ReceiverState::Open(receiver) => receiver.balance().to_u64(),
            ReceiverState::Settling(settling) => settling.balance().to_u64(),
            ReceiverState::Settled(settled) => settled.balance().to_u64(),
            ReceiverState::Closed(_) => return None,
        })
    }

    pub(crate) fn hear_open(&mut self, world: &mut World, bytes: &[u8]) -> Answer {
        let open = Open::from_bytes(bytes).unwrap();
        match self.memory.take().or_else(|| self.state()) {
            None => self.open(world, &open),
            Some(state) => self.update(world, state, &open.update),
        }
    }

    pub(crate) fn hear_update(&mut self, world: &mut World, bytes: &[u8]) -> Answer {
        let update = Update::from_bytes(bytes).unwrap();
        match self.memory.take().or_else(|| self.state()) {
            None => Some(Err(Refusal::UnknownChannel)),
            Some(state) => self.update(world, state, &update),
        }
    }

    fn open(&mut self, world: &mut World, open: &Open) -> Answer {
        let step = match self.terms.open(world.now, open) {
            Ok(step) => step,
            Err(refusal) => return Some(Err(refusal)),
        };
        let credit = open.update.balance.to_u64();
        let receiver = self.disk.save(world, step, credit).ok()?;
        self.memory = Some(ReceiverState::Open(receiver));
        Some(Ok(open.update.balance))
    }

    fn update(&mut self, world: &mut World, state: ReceiverState, update: &Update) -> Answer {
        let ReceiverState::Open(receiver) = state else {
            self.memory = Some(state);
            return Some(Err(Refusal::Closed));
        };
        let before = receiver.balance().to_u64();
        let (receiver, answer) = match receiver.receive(world.now, update) {
            Ok(step) => {
                let credit = update.balance.to_u64() - before;
                let receiver = self.disk.save(world, step, credit).ok()?;
                (receiver, Ok(update.balance))
            }
            Err(unmoved) => match unmoved.error {
                Refusal::Replay => (unmoved.state, Ok(update.balance)),
                refusal => (unmoved.state, Err(refusal)),
            },
        };
        self.memory = Some(ReceiverState::Open(receiver));
        Some(answer)
    }

    /// Does the next thing on the way to having its money.
    pub(crate) fn settle(&mut self, world: &mut World) {
        let memory = self.memory.take().or_else(|| self.state());
        self.memory = memory.and_then(|state| self.step(world, state).ok());
    }

    fn step(&mut self, world: &mut World, state: ReceiverState) -> Result<ReceiverState, Dead> {
        Ok(match state {
            ReceiverState::Open(receiver) => {
                ReceiverState::Settling(self.disk.save(world, receiver.settle(), 0)?)
            }
            ReceiverState::Settling(settling) => self.redeem(world, settling)?,
            ReceiverState::Settled(settled) => {
                self.disk.take(world, "earned", settled.coins())?;
                ReceiverState::Closed(self.disk.save(world, settled.collected(), 0)?)
            }
            closed => closed,
        })
    }

    fn redeem(&mut self, world: &mut World, settling: Settling) -> Result<ReceiverState, Dead> {
        let swap = settling.swap().unwrap();
        let answer = world.ask(|bank| bank.swap(&swap))?;
        let signatures = match answer {
            Ok(signatures) => Some(signatures),
            Err(BankError::Spent) => world.bank.restore_all(swap.outputs()),
            Err(BankError::Keyset) => {
                let step = settling.under(&world.bank.keyset());
                return Ok(ReceiverState::Settling(self.disk.save(world, step, 0)?));
            }
            Err(error) => panic!("{error:?}"),
        };
        match signatures {
            Some(signatures) => self.settled(world, settling, &signatures),
            None => {
                let closed = self.disk.save(world, settling.lost(), 0)?;
                Ok(ReceiverState::Closed(closed))
            }
        }
    }

    fn settled(
        &mut self,
        world: &mut World,
        settling: Settling,
        signatures: &[BlindSignature],
    ) -> Result<ReceiverState, Dead> {
        let unmoved = match settling.settled(signatures) {
            Ok(step) => return Ok(ReceiverState::Settled(self.disk.save(world, step, 0)?)),
            Err(unmoved) => *unmoved,
        };
        // An earlier swap had succeeded, under the keyset of that time.
        let MintFault::Keyset(id) = unmoved.error else {
            panic!("{}", unmoved.error)
        };
        let mut keysets = world.bank.keysets().into_iter();
        let keyset = keysets.find(|keyset| keyset.id() == id).unwrap();
        let step = unmoved.state.under(&keyset);
        Ok(ReceiverState::Settling(self.disk.save(world, step, 0)?))
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state(), Some(ReceiverState::Closed(_)))
    }
}

/// No money appeared or vanished, whoever has it.
pub(crate) fn check_money(world: &World, alice: &Alice, bob: &Bob) {
    let kept = alice.disk.money() + bob.disk.money();
    assert_eq!(kept + world.bank.fees, world.bank.sold);
}
