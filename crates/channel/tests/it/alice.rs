//! A sender in the world.

use super::bob::Bob;
use super::world::{Dead, Disk, EXPIRY, MINT, NOW, World, key, plain};
use cashu::{Amount, SwapRequest};
use coinfuse_channel::*;
use coinfuse_wire::Encode;

/// The sender.
pub(crate) struct Alice {
    pub(crate) disk: Disk,
    memory: Option<SenderState>,
    /// What the receiver has confirmed; and that it has, since the last blow.
    confirmed: Option<Amount>,
    params: Params,
    keyset: Keyset,
}

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
