//! A receiver in the world.

use super::bank::BankError;
use super::world::{Dead, Disk, MINT, World, key};
use cashu::{Amount, BlindSignature};
use coinfuse_channel::*;
use coinfuse_wire::Decode;

/// The receiver.
pub(crate) struct Bob {
    pub(crate) disk: Disk,
    memory: Option<ReceiverState>,
    terms: Terms,
}

/// What the receiver says to a message, if it lives.
pub(super) type Answer = Option<Result<Amount, Refusal>>;

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
