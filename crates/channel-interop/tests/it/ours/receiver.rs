//! `coinfuse-channel` as the paid side.

use std::collections::HashMap;
use std::time::Duration;

use cdk::Amount;
use cdk::nuts::{BlindSignature, Proofs, SecretKey};
use coinfuse_channel::json::Payment;
use coinfuse_channel::{
    ChannelId, Coin, MintFault, Open, Receiver as Machine, ReceiverState, Refusal, Settled,
    Settling, Terms, Update,
};
use serde_json::json;

use super::mint::{OurMint, Unswapped, checked, write};
use super::sender::now;
use super::store::Store;
use crate::roles::Receiver;
use crate::theirs::RECEIVER_KEY;
use crate::world::{UNIT, World};

/// A receiver with [`RECEIVER_KEY`].
pub(crate) struct OurReceiver {
    terms: Terms,
    store: Store,
    mint: OurMint,
    url: String,
    /// What counts as earned where that is not all that was paid.
    due: HashMap<ChannelId, Amount>,
}

impl Receiver for OurReceiver {
    async fn start(world: &World, min_lifetime: u64) -> Self {
        let mint = OurMint::at(world.url());
        let url = world.url().to_owned();
        let key = SecretKey::from_hex(RECEIVER_KEY).expect("a key");
        let mut terms = Terms::new(key);
        // The margin is a part of what must be left.
        let min_lifetime = Duration::from_secs(min_lifetime);
        terms.margin = terms.margin.min(min_lifetime);
        terms.min_lifetime = min_lifetime - terms.margin;
        terms.keysets = vec![(url.clone(), checked(&mint.active().await))];
        Self {
            terms,
            store: Store::default(),
            mint,
            url,
            due: HashMap::new(),
        }
    }

    fn offer(&self) -> String {
        let terms = &self.terms;
        let keysets = terms.keysets.iter();
        let keysets: Vec<_> = keysets.map(|(_, set)| set.id().to_string()).collect();
        json!({
            "receiver_pubkey": terms.key.public_key(),
            "pricing": { UNIT: { "min_capacity": terms.min_capacity, "variables": {} } },
            "pricing_scale": 1,
            "mints_units_keysets": { &self.url: { UNIT: keysets } },
            "min_expiry_in_seconds": (terms.min_lifetime + terms.margin).as_secs(),
        })
        .to_string()
    }

    fn register(&mut self, message: &str) -> Result<String, String> {
        let open = Open::from_json(message).map_err(|error| error.to_string())?;
        if open.update.balance != Amount::ZERO {
            return Err("a registration pays nothing".to_owned());
        }
        let id = open.update.channel;
        let known = self.store.knows(&id);
        self.open(&open)?;
        let answer = json!({
            "success": true,
            "channel_id": id.to_hex(),
            "capacity": open.params.capacity,
            "already_known": known,
        });
        Ok(answer.to_string())
    }

    fn accept(&mut self, message: &str) -> Result<String, String> {
        let payment = Payment::from_json(message).map_err(|error| error.to_string())?;
        let id = match payment {
            Payment::Open(open) => {
                self.open(&open)?;
                open.update.channel
            }
            Payment::Update(update) => {
                self.update(&update)?;
                update.channel
            }
        };
        let machine = self.machine(&id).map_err(|refusal| refusal.to_string())?;
        let answer = json!({
            "channel_id": id.to_hex(),
            "balance": machine.balance(),
            "amount_due": self.due(&machine),
            "capacity": machine.params().capacity,
        });
        Ok(answer.to_string())
    }

    fn forgive(&mut self, channel_id: &str, amount: u64) {
        let id = self.known(channel_id);
        self.due.insert(id, amount.into());
    }

    fn lose_next_answer(&mut self) {
        self.mint.lose_next_answer();
    }

    async fn close(&mut self, message: &str) -> Result<String, String> {
        let asking = Update::from_json(message).map_err(|error| error.to_string())?;
        let id = asking.channel;
        let machine = match self.machine(&id) {
            Ok(machine) => machine,
            Err(Refusal::Closed) => return Ok(answer(&self.settled(&id).await?, true)),
            Err(refusal) => return Err(refusal.to_string()),
        };
        if asking.balance != self.due(&machine) {
            return Err("another balance is due".to_owned());
        }
        let step = machine.settle_at(&asking);
        self.store
            .save(step.map_err(|unmoved| unmoved.error.to_string())?);
        Ok(answer(&self.settled(&id).await?, false))
    }

    async fn close_alone(&mut self, channel_id: &str) -> Result<(), String> {
        let id = self.known(channel_id);
        if let Ok(machine) = self.machine(&id) {
            self.store.save(machine.settle());
        }
        self.settled(&id).await.map(|_| ())
    }

    /// The coins come signed out of the machine, so that the wallet needs no key.
    async fn collect(&mut self, world: &World) -> u64 {
        let mut sum = 0;
        for id in self.store.ids() {
            if let ReceiverState::Settled(settled) = self.state(&id) {
                let coins: Proofs = settled.coins().iter().map(Coin::signed).collect();
                sum += world.spend(&write(&coins), None).await;
                self.store.save(settled.collected());
                assert!(matches!(self.state(&id), ReceiverState::Closed(_)));
            }
        }
        sum
    }
}

impl OurReceiver {
    /// Takes a channel; one that is known may be opened again with a higher balance.
    fn open(&self, open: &Open) -> Result<(), String> {
        if self.store.knows(&open.update.channel) {
            return self.update(&open.update);
        }
        let step = self.terms.open(now(), open);
        self.store
            .save(step.map_err(|refusal| refusal.to_string())?);
        Ok(())
    }

    fn update(&self, update: &Update) -> Result<(), String> {
        let machine = self.machine(&update.channel);
        let machine = machine.map_err(|refusal| refusal.to_string())?;
        match machine.receive(now(), update) {
            Ok(step) => self.store.save(step),
            Err(unmoved) if unmoved.error == Refusal::Replay => {}
            Err(unmoved) => return Err(unmoved.error.to_string()),
        }
        Ok(())
    }

    fn state(&self, id: &ChannelId) -> ReceiverState {
        Machine::load(&self.terms, &self.store.rows(id)).expect("good rows")
    }

    /// The machine while the channel is open.
    fn machine(&self, id: &ChannelId) -> Result<Machine, Refusal> {
        if !self.store.knows(id) {
            return Err(Refusal::UnknownChannel);
        }
        match self.state(id) {
            ReceiverState::Open(machine) => Ok(machine),
            _ => Err(Refusal::Closed),
        }
    }

    fn due(&self, machine: &Machine) -> Amount {
        let due = self.due.get(&machine.id()).copied();
        due.unwrap_or(machine.balance())
    }

    /// The id that is written so.
    fn known(&self, channel_id: &str) -> ChannelId {
        let mut ids = self.store.ids().into_iter();
        let id = ids.find(|id| id.to_hex() == channel_id);
        id.expect("a known channel")
    }

    /// Brings a channel that is being settled to its end.
    async fn settled(&self, id: &ChannelId) -> Result<Settled, String> {
        loop {
            match self.state(id) {
                ReceiverState::Open(machine) => panic!("{machine:?}"),
                ReceiverState::Settling(settling) => self.settle(settling).await?,
                ReceiverState::Settled(settled) => return Ok(settled),
                ReceiverState::Closed(_) => return Err("the sender took its money back".into()),
            }
        }
    }

    /// One step of it.
    async fn settle(&self, settling: Settling) -> Result<(), String> {
        let swap = settling.swap().expect("a swap");
        let signatures = match self.mint.swap(&swap).await {
            Ok(signatures) => signatures,
            Err(Unswapped::Done) => {
                let outputs = settling.outputs().expect("outputs");
                let Some(signatures) = self.mint.restore_swap(outputs).await else {
                    self.store.save(settling.lost());
                    return Ok(());
                };
                signatures
            }
            Err(Unswapped::Retired) => {
                let active = checked(&self.mint.active().await);
                self.store.save(settling.under(&active));
                return Ok(());
            }
            Err(Unswapped::NoAnswer) => return Err("no answer".to_owned()),
            Err(Unswapped::Other(refusal)) => return Err(refusal),
        };
        self.signed(settling, &signatures).await;
        Ok(())
    }

    async fn signed(&self, settling: Settling, signatures: &[BlindSignature]) {
        let id = settling.id();
        let step = match settling.settled(signatures) {
            Ok(step) => step,
            Err(unmoved) => {
                // Restored: the swap had succeeded before the keyset was changed.
                let MintFault::Keyset(keyset) = unmoved.error else {
                    panic!("{}", unmoved.error);
                };
                let keyset = self.mint.keyset(keyset).await;
                self.store.save(unmoved.state.under(&keyset));
                let ReceiverState::Settling(settling) = self.state(&id) else {
                    panic!("a settlement");
                };
                settling.settled(signatures).expect("good signatures")
            }
        };
        self.store.save(step);
    }
}

/// What a sender is told of a settlement.
fn answer(settled: &Settled, already_closed: bool) -> String {
    let earned = settled.coins().iter().map(|coin| coin.amount().to_u64());
    let left = settled.remainder().iter().map(|coin| coin.amount.to_u64());
    let (receiver_sum, sender_sum): (u64, u64) = (earned.sum(), left.sum());
    json!({
        "channel_id": settled.id().to_hex(),
        "total_value": receiver_sum + sender_sum,
        "receiver_sum": receiver_sum,
        "sender_sum": sender_sum,
        "sender_proofs": settled.remainder(),
        "already_closed": already_closed,
    })
    .to_string()
}
