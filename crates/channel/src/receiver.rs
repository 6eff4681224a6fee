//! The receiver: takes a channel and its updates.
//!
//! ```text
//! Terms::open ──> Receiver ──receive──> Receiver ──settle──> Settling ──settled──> Settled ──collected──> Closed
//!                                                               └──────────lost─────────────────────────────┘
//! ```

use crate::channel::{Channel, ParamsError};
use crate::commitment::{Commitments, verify};
use crate::funding;
use crate::keyset::{AmountError, Keyset};
use crate::message::{FundingProof, Open, Update, read_list, read_signature};
use crate::params::{ChannelId, Params};
use crate::refusal::Refusal;
use crate::rows::{self, LoadError, Rows};
use crate::sender::Unmoved;
use crate::settle::{End, Settled, Settling};
use crate::step::Unsaved;
use bitcoin::secp256k1::schnorr::Signature;
use cashu::{Amount, Proof, SecretKey};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, UnixTime, Writer};
use core::fmt;
use core::time::Duration;

/// The rows of a receiver.
pub(crate) mod part {
    /// The terms, the funding proofs and the first balance.
    pub(crate) const OPENING: u8 = 0;
    /// The balance and its signature.
    pub(crate) const BALANCE: u8 = 1;
    /// The settlement.
    pub(crate) const END: u8 = 2;
}

/// On which terms a receiver takes channels.
#[derive(Clone)]
#[non_exhaustive]
pub struct Terms {
    /// The receiver's secret key. One that several processes use without a common storage lets a
    /// sender spend a channel once at each.
    pub key: SecretKey,
    /// The mints whose coins are taken, each as its address in the terms, with one keyset; several
    /// entries for several keysets.
    pub keysets: Vec<(String, Keyset)>,
    /// The smallest capacity. Default: 1.
    pub min_capacity: Amount,
    /// The largest capacity: what is at stake if a mint fails. Default: no limit.
    pub max_capacity: Amount,
    /// The most funding proofs: each costs some 0.4 ms to check. Default: 64.
    pub max_proofs: u64,
    /// What must be left of a channel's life when it is opened, beyond `margin`. Default: 10 min.
    pub min_lifetime: Duration,
    /// How far away a channel's expiry may be. Default: 30 days.
    pub max_lifetime: Duration,
    /// How long before its expiry a channel buys nothing any more, so that there is time to settle:
    /// more than the mint's clock may be wrong, and than the mint may be away. Default: 10 min.
    pub margin: Duration,
}

impl Terms {
    /// The defaults; with no mints.
    pub fn new(key: SecretKey) -> Self {
        Self {
            key,
            keysets: Vec::new(),
            min_capacity: Amount::ONE,
            max_capacity: u64::MAX.into(),
            max_proofs: 64,
            min_lifetime: Duration::from_secs(600),
            max_lifetime: Duration::from_secs(30 * 24 * 3600),
            margin: Duration::from_secs(600),
        }
    }

    /// Takes a channel that a sender opens. Cheap checks come first; nothing is derived before the
    /// number of coins is known to be small.
    ///
    /// A sender may send the same message again, so ask the storage first whether the channel is
    /// known.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: what the sender has to do otherwise.
    pub fn open(&self, now: UnixTime, open: &Open) -> Result<Unsaved<Receiver>, Refusal> {
        let params = &open.params;
        let keyset = self.keyset(params)?;
        self.check_amounts(params, keyset)?;
        self.check_times(now, params, keyset)?;
        if self.key.public_key() != params.receiver {
            return Err(Refusal::OtherReceiver);
        }
        let channel = Channel::agree(params.clone(), keyset, &self.key)?;
        if channel.id != open.update.channel {
            return Err(Refusal::WrongId);
        }
        let proofs = funding::verify(&channel, &open.proofs)?;
        let base = Base {
            channel,
            key: self.key.clone(),
            margin: self.margin,
        };
        let mut receiver = Receiver::new(base, proofs, open.update);
        receiver.check(&open.update)?;
        let opening = Opening {
            terms: rows::Terms::of(&receiver.base.channel),
            proofs: open.proofs.clone(),
            balance: Word::of(&open.update),
        };
        let (id, bytes) = (receiver.id(), opening.to_bytes());
        Ok(Unsaved::new(id, part::OPENING, bytes, receiver))
    }

    fn keyset(&self, params: &Params) -> Result<&Keyset, Refusal> {
        let mut of_mint = self
            .keysets
            .iter()
            .filter(|(mint, keyset)| *mint == params.mint && *keyset.unit() == params.unit)
            .peekable();
        of_mint.peek().ok_or(Refusal::UnknownMint)?;
        of_mint
            .map(|(_, keyset)| keyset)
            .find(|keyset| keyset.id() == params.keyset_id)
            .ok_or(Refusal::UnknownKeyset)
    }

    /// The same keyset, from the list if it is there: thousands of channels have the same keys.
    fn shared(&self, keyset: Keyset) -> Keyset {
        let mut listed = self.keysets.iter().map(|(_, listed)| listed);
        match listed.find(|listed| listed.is_same(&keyset)) {
            Some(listed) => listed.clone(),
            None => keyset,
        }
    }

    fn check_amounts(&self, params: &Params, keyset: &Keyset) -> Result<(), Refusal> {
        let got = params.capacity.to_u64();
        if params.capacity < self.min_capacity {
            let least = self.min_capacity.to_u64();
            return Err(Refusal::CapacityTooSmall { got, least });
        }
        if params.capacity > self.max_capacity {
            let most = self.max_capacity.to_u64();
            return Err(Refusal::CapacityTooLarge { got, most });
        }
        let most = self.max_proofs;
        let ladder = keyset.ladder(params.max_amount);
        match ladder.outputs(params.funding_amount) {
            Ok(got) if got > most => Err(Refusal::TooManyProofs { got, most }),
            Err(AmountError::TooManyOutputs { outputs: got, .. }) => {
                Err(Refusal::TooManyProofs { got, most })
            }
            result => Ok(result.map(|_| ()).map_err(ParamsError::Amount)?),
        }
    }

    fn check_times(&self, now: UnixTime, params: &Params, keyset: &Keyset) -> Result<(), Refusal> {
        let expiry = params.expiry;
        let soonest = now
            .saturating_add(self.margin)
            .saturating_add(self.min_lifetime);
        if expiry < soonest {
            return Err(Refusal::ExpiryTooSoon { expiry });
        }
        if expiry > now.saturating_add(self.max_lifetime) {
            return Err(Refusal::ExpiryTooFar { expiry });
        }
        let honoured = expiry.saturating_add(self.margin);
        match keyset.final_expiry() {
            Some(end) if end < honoured => Err(Refusal::KeysetExpiring),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("keysets", &self.keysets)
            .finish_non_exhaustive()
    }
}

/// What never changes about a receiver's channel.
pub(crate) struct Base {
    pub(crate) channel: Channel,
    pub(crate) key: SecretKey,
    margin: Duration,
}

/// A balance as it is written down.
pub(crate) struct Word {
    balance: Amount,
    signature: Signature,
}

impl Word {
    pub(crate) const fn of(update: &Update) -> Self {
        Self {
            balance: update.balance,
            signature: update.signature,
        }
    }

    pub(crate) const fn update(&self, channel: ChannelId) -> Update {
        Update {
            channel,
            balance: self.balance,
            signature: self.signature,
        }
    }
}

impl Encode for Word {
    fn encode(&self, out: &mut Writer) {
        out.u64(self.balance.to_u64());
        out.put(&self.signature.serialize());
    }
}

impl Decode for Word {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            balance: reader.u64("balance")?.into(),
            signature: read_signature(reader)?,
        })
    }
}

struct Opening {
    terms: rows::Terms,
    proofs: Vec<FundingProof>,
    balance: Word,
}

impl Encode for Opening {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.terms);
        out.varint(self.proofs.len() as u64);
        self.proofs.iter().for_each(|proof| out.value(proof));
        out.value(&self.balance);
    }
}

impl Decode for Opening {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            terms: Decode::decode(reader)?,
            proofs: read_list(reader, "funding proofs")?,
            balance: Decode::decode(reader)?,
        })
    }
}

/// What a receiver was doing when it was written down.
#[derive(Debug)]
pub enum ReceiverState {
    /// It takes updates.
    Open(Receiver),
    /// The settlement may or may not have reached the mint.
    Settling(Settling),
    /// It has coins to collect.
    Settled(Settled),
    /// Nothing is left to do. Remember the id until the channel has expired, so that it cannot be
    /// opened again.
    Closed(Closed),
}

/// A channel that is over. Its id must be remembered until `expiry`; by then its funding proofs
/// are of no use to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// Which channel it was.
    pub channel: ChannelId,
    /// When it may be forgotten.
    pub expiry: UnixTime,
}

/// An open channel, from its receiver's side. The balance only grows.
pub struct Receiver {
    base: Base,
    proofs: Vec<Proof>,
    commitments: Commitments,
    last: Update,
}

impl Receiver {
    fn new(base: Base, proofs: Vec<Proof>, last: Update) -> Self {
        Self {
            commitments: Commitments::new(&proofs),
            base,
            proofs,
            last,
        }
    }

    /// A receiver from its rows, in whatever order they come. What was checked before it was written
    /// is not checked again.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if they are damaged or `terms` has another key.
    pub fn load(terms: &Terms, rows: &[(u8, Vec<u8>)]) -> Result<ReceiverState, LoadError> {
        let rows = Rows(rows);
        let opening: Opening = rows.need(part::OPENING)?;
        let inconsistent = |_| LoadError::Inconsistent;
        let rows::Terms { params, keyset } = opening.terms;
        let keyset = terms.shared(keyset);
        let channel = Channel::agree(params, &keyset, &terms.key).map_err(inconsistent)?;
        let (id, expiry) = (channel.id, channel.params.expiry);
        let end: Option<End> = rows.read(part::END)?;
        if matches!(end, Some(End::Closed)) {
            return Ok(ReceiverState::Closed(Closed {
                channel: id,
                expiry,
            }));
        }
        let outputs = channel.funding_outputs().map_err(inconsistent)?;
        if outputs.len() != opening.proofs.len() {
            return Err(LoadError::Inconsistent);
        }
        let keyset = channel.keyset.id();
        let proofs = outputs
            .iter()
            .zip(&opening.proofs)
            .map(|(output, sent)| funding::proof(output, keyset, sent.c))
            .collect();
        let base = Base {
            channel,
            key: terms.key.clone(),
            margin: terms.margin,
        };
        let word = rows.read(part::BALANCE)?.unwrap_or(opening.balance);
        let last = word.update(id);
        let receiver = Self::new(base, proofs, last);
        match end {
            None => Ok(ReceiverState::Open(receiver)),
            Some(end) => receiver.into_settling().resume(end),
        }
    }

    /// The terms of a channel from its rows, in whatever state it is; nothing is derived from them.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the row that has them is missing or damaged.
    pub fn stored_params(rows: &[(u8, Vec<u8>)]) -> Result<Params, LoadError> {
        let opening: Opening = Rows(rows).need(part::OPENING)?;
        Ok(opening.terms.params)
    }

    /// The channel's name.
    pub const fn id(&self) -> ChannelId {
        self.base.channel.id
    }

    /// Its terms.
    pub const fn params(&self) -> &Params {
        &self.base.channel.params
    }

    /// What the sender has paid.
    pub const fn balance(&self) -> Amount {
        self.last.balance
    }

    /// Until when updates are taken. It has to be settled between then and the expiry.
    pub const fn takes_until(&self) -> UnixTime {
        self.params().expiry.saturating_sub(self.base.margin)
    }

    /// Takes an update to a higher balance. The difference may be credited when the state is saved.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; nothing has changed. A [`Refusal::Replay`] is the word that is in force: tell
    /// the sender that it arrived.
    pub fn receive(
        mut self,
        now: UnixTime,
        update: &Update,
    ) -> Result<Unsaved<Self>, Box<Unmoved<Self, Refusal>>> {
        match self.judge(now, update) {
            Ok(()) => {
                self.last = *update;
                let bytes = Word::of(update).to_bytes();
                Ok(Unsaved::new(self.id(), part::BALANCE, bytes, self))
            }
            Err(error) => Err(Box::new(Unmoved { state: self, error })),
        }
    }

    fn judge(&mut self, now: UnixTime, update: &Update) -> Result<(), Refusal> {
        if update.channel != self.id() {
            return Err(Refusal::OtherChannel);
        }
        let (balance, paid) = (update.balance.to_u64(), self.last.balance.to_u64());
        // Whose answer was lost may ask again at any time.
        if balance == paid {
            return Err(Refusal::Replay);
        }
        if now >= self.takes_until() {
            return Err(Refusal::Expired);
        }
        if balance < paid {
            return Err(Refusal::LowerBalance { balance, paid });
        }
        self.check(update)
    }

    fn check(&mut self, update: &Update) -> Result<(), Refusal> {
        let channel = &self.base.channel;
        let digest = self.commitments.digest(channel, update.balance)?;
        match verify(&channel.keys.sender, digest, &update.signature) {
            true => Ok(()),
            false => Err(Refusal::Signature),
        }
    }

    /// Takes no more updates: gets the money from the mint.
    pub fn settle(self) -> Unsaved<Settling> {
        let keyset = self.base.channel.keyset.clone();
        self.into_settling().under(&keyset)
    }

    /// Settles at a balance that both parties agree on, which may be lower than what was paid: the
    /// receiver gives the difference back. Whether it does is for the caller to decide.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the sender has not signed this balance; nothing has changed.
    pub fn settle_at(
        mut self,
        update: &Update,
    ) -> Result<Unsaved<Settling>, Box<Unmoved<Self, Refusal>>> {
        let judged = match update.channel == self.id() {
            true => self.check(update),
            false => Err(Refusal::OtherChannel),
        };
        match judged {
            Ok(()) => {
                self.last = *update;
                Ok(self.settle())
            }
            Err(error) => Err(Box::new(Unmoved { state: self, error })),
        }
    }

    fn into_settling(self) -> Settling {
        let keyset = self.base.channel.keyset.clone();
        Settling::new(self.base, keyset, self.proofs, self.last)
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, balance) = (self.id(), self.balance());
        write!(f, "Receiver({id:?}, {balance})")
    }
}
