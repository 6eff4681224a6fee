//! The sender: plans a channel, funds it, pays through it, and takes back what is left.
//!
//! ```text
//! Planned ──funded──> Sender ──pay──> Sender ──close──> Closing ──done──> Done
//!    └──────abandon─────────────────────────────────────────────────────────┘
//! ```

use crate::channel::{Channel, ParamsError};
use crate::commitment::{BalanceError, Commitments, Signer};
use crate::derive::{FundingKey, Output};
use crate::funding::{MintFault, proof, unblind};
use crate::keyset::Keyset;
use crate::message::{FundingProof, Open, Update, read_list, read_scalar};
use crate::params::{ChannelId, Params};
use crate::reclaim::Closing;
use crate::rows::{LoadError, Rows, Terms};
use crate::step::Unsaved;
use bitcoin::secp256k1::schnorr::Signature;
use cashu::{Amount, BlindSignature, BlindedMessage, Proof, SecretKey};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, UnixTime, Writer};
use core::fmt;
use thiserror::Error;

/// The rows of a sender.
pub(crate) mod part {
    /// The terms and the sender's key.
    pub(crate) const PLAN: u8 = 0;
    /// The funding proofs.
    pub(crate) const FUNDING: u8 = 1;
    /// The balance.
    pub(crate) const BALANCE: u8 = 2;
    /// How it ended.
    pub(crate) const END: u8 = 3;
}

/// A channel that ended: closing.
pub(crate) const END_CLOSING: u8 = 1;
/// A channel that ended: nothing is left to do.
pub(crate) const END_DONE: u8 = 2;

/// Why a payment is not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PayError {
    /// Not enough is left: fund another channel.
    #[error("the channel has {left} left")]
    NotEnough {
        /// What is left.
        left: u64,
    },
    /// A mistake of the caller: a balance only grows.
    #[error("{paid} was paid already")]
    NotMore {
        /// What was paid.
        paid: u64,
    },
    /// The sender could take everything back, and so nobody takes a payment.
    #[error("the channel has expired")]
    Expired,
    /// The channel's amounts do not work out for this balance.
    #[error(transparent)]
    Balance(#[from] BalanceError),
}

/// A step that was not made, and the state as it was.
#[derive(Debug)]
pub struct Unmoved<S, E> {
    /// The state as it was.
    pub state: S,
    /// Why there was no step.
    pub error: E,
}

/// What a sender was doing when it was written down.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "taken apart as soon as it is loaded"
)]
pub enum SenderState {
    /// It may or may not have asked the mint to sign the funding.
    Planned(Planned),
    /// It can pay.
    Open(Sender),
    /// It takes back what is left.
    Closing(Closing),
    /// There is nothing left to do.
    Done(Done),
}

/// Nothing is left to do: the rows can be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Which channel it was.
    pub channel: ChannelId,
}

/// What never changes about a sender's channel.
#[derive(Clone)]
pub(crate) struct Base {
    pub(crate) channel: Channel,
    pub(crate) key: SecretKey,
}

impl Base {
    fn load(rows: Rows<'_>) -> Result<Self, LoadError> {
        let plan: Plan = rows.need(part::PLAN)?;
        let Plan { terms, key } = plan;
        let channel = Channel::agree(terms.params, &terms.keyset, &key)
            .map_err(|_| LoadError::Inconsistent)?;
        Ok(Self { channel, key })
    }

    pub(crate) fn end<S>(id: ChannelId, end: u8, next: S) -> Unsaved<S> {
        Unsaved::new(id, part::END, vec![end], next)
    }
}

struct Plan {
    terms: Terms,
    key: SecretKey,
}

impl Encode for Plan {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.terms);
        out.put(self.key.as_secret_bytes());
    }
}

impl Decode for Plan {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            terms: Decode::decode(reader)?,
            key: read_scalar(reader, "sender's key")?,
        })
    }
}

/// A channel that is to be funded. Written down before the mint is asked: from then on its coins
/// can always be found again (NUT-09).
pub struct Planned {
    base: Base,
    outputs: Vec<Output>,
}

impl Planned {
    /// Plans a channel. `key` is the sender's secret key of `params.sender`, best one that is used
    /// for nothing else.
    ///
    /// # Errors
    ///
    /// [`ParamsError`] if the terms do not work out.
    pub fn new(
        params: Params,
        keyset: &Keyset,
        key: &SecretKey,
    ) -> Result<Unsaved<Self>, ParamsError> {
        if key.public_key() != params.sender {
            return Err(ParamsError::Key);
        }
        let base = Base {
            channel: Channel::agree(params, keyset, key)?,
            key: key.clone(),
        };
        let plan = Plan {
            terms: Terms::of(&base.channel),
            key: base.key.clone(),
        };
        let (id, bytes) = (base.channel.id, plan.to_bytes());
        Ok(Unsaved::new(id, part::PLAN, bytes, Self::start(base)?))
    }

    fn start(base: Base) -> Result<Self, ParamsError> {
        let outputs = base.channel.funding_outputs()?;
        Ok(Self { base, outputs })
    }

    /// The channel's name.
    pub const fn id(&self) -> ChannelId {
        self.base.channel.id
    }

    /// Its terms.
    pub const fn params(&self) -> &Params {
        &self.base.channel.params
    }

    /// What the mint must sign, in a swap of other coins (NUT-03) or as new ones (NUT-04), smallest
    /// first. If the answer is lost, the same outputs are what to restore (NUT-09).
    pub fn outputs(&self) -> Vec<BlindedMessage> {
        let keyset = self.base.channel.keyset.id();
        let message = |output: &Output| output.message(keyset);
        self.outputs.iter().map(message).collect()
    }

    /// The mint signed the outputs: `signatures` are in their order.
    ///
    /// # Errors
    ///
    /// [`MintFault`] if they do not fit; nothing has changed.
    pub fn funded(
        self,
        signatures: &[BlindSignature],
    ) -> Result<Unsaved<Sender>, Box<Unmoved<Self, MintFault>>> {
        match self.fund(signatures) {
            Ok(sender) => {
                let mut out = Writer::new();
                put_proofs(&mut out, &sender.sent);
                Ok(Unsaved::new(
                    self.id(),
                    part::FUNDING,
                    out.into_bytes(),
                    sender,
                ))
            }
            Err(error) => Err(Box::new(Unmoved { state: self, error })),
        }
    }

    fn fund(&self, signatures: &[BlindSignature]) -> Result<Sender, MintFault> {
        let proofs = unblind(&self.base.channel.keyset, &self.outputs, signatures)?;
        let proof = |(c, e, s)| FundingProof {
            c,
            e,
            s,
            claim: None,
        };
        let proofs = proofs.into_iter().map(proof).collect();
        Ok(Sender::new(self.base.clone(), &self.outputs, proofs)?)
    }

    /// The mint has not signed, and will not: it was never asked, or refused for good.
    pub fn abandon(self) -> Unsaved<Done> {
        let channel = self.id();
        Base::end(channel, END_DONE, Done { channel })
    }
}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Planned({:?})", self.id())
    }
}

fn put_proofs(out: &mut Writer, proofs: &[FundingProof]) {
    out.varint(proofs.len() as u64);
    proofs.iter().for_each(|proof| out.value(proof));
}

struct Proofs(Vec<FundingProof>);

impl Decode for Proofs {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_list(reader, "funding proofs").map(Self)
    }
}

struct Balance(Amount);

impl Decode for Balance {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.u64("balance")?.into()))
    }
}

/// An open channel, from its sender's side.
pub struct Sender {
    base: Base,
    sent: Vec<FundingProof>,
    proofs: Vec<Proof>,
    commitments: Commitments,
    signer: Signer,
    balance: Amount,
    signature: Signature,
}

impl Sender {
    fn new(base: Base, outputs: &[Output], sent: Vec<FundingProof>) -> Result<Self, ParamsError> {
        let keyset = base.channel.keyset.id();
        let proof = |(output, sent): (&Output, &FundingProof)| proof(output, keyset, sent.c);
        let proofs: Vec<_> = outputs.iter().zip(&sent).map(proof).collect();
        let mut commitments = Commitments::new(&proofs);
        let digest = commitments
            .digest(&base.channel, Amount::ZERO)
            .map_err(BalanceError::terms)?;
        let key = base.channel.funding_secret(FundingKey::Sender, &base.key);
        let signer = Signer::new(&key.ok_or(ParamsError::Underivable)?);
        Ok(Self {
            signature: signer.sign(digest),
            base,
            sent,
            proofs,
            commitments,
            signer,
            balance: Amount::ZERO,
        })
    }

    /// A sender from its rows, in whatever order they come.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if they are damaged.
    pub fn load(rows: &[(u8, Vec<u8>)]) -> Result<SenderState, LoadError> {
        let rows = Rows(rows);
        let base = Base::load(rows)?;
        let end = rows.get(part::END);
        if end == Some(&[END_DONE]) {
            let channel = base.channel.id;
            return Ok(SenderState::Done(Done { channel }));
        }
        let planned = Planned::start(base).map_err(|_| LoadError::Inconsistent)?;
        let Some(Proofs(proofs)) = rows.read(part::FUNDING)? else {
            return Ok(SenderState::Planned(planned));
        };
        if proofs.len() != planned.outputs.len() {
            return Err(LoadError::Inconsistent);
        }
        let mut sender = Self::new(planned.base, &planned.outputs, proofs)
            .map_err(|_| LoadError::Inconsistent)?;
        if let Some(Balance(balance)) = rows.read(part::BALANCE)? {
            sender.set(balance).map_err(|_| LoadError::Inconsistent)?;
        }
        match end {
            None => Ok(SenderState::Open(sender)),
            Some(&[END_CLOSING]) => Ok(SenderState::Closing(sender.into_closing())),
            Some(_) => Err(LoadError::Inconsistent),
        }
    }

    /// The channel's name.
    pub const fn id(&self) -> ChannelId {
        self.base.channel.id
    }

    /// Its terms.
    pub const fn params(&self) -> &Params {
        &self.base.channel.params
    }

    /// All that was ever paid.
    pub const fn balance(&self) -> Amount {
        self.balance
    }

    /// What can still be paid.
    pub fn left(&self) -> Amount {
        let capacity = self.params().capacity;
        capacity.checked_sub(self.balance).unwrap_or(Amount::ZERO)
    }

    /// The word for the present balance. Sending it again does no harm.
    pub const fn update(&self) -> Update {
        Update {
            channel: self.base.channel.id,
            balance: self.balance,
            signature: self.signature,
        }
    }

    /// The message that opens the channel at the receiver, with the present balance. Sending it
    /// again does no harm.
    pub fn open(&self) -> Open {
        Open {
            params: self.params().clone(),
            proofs: self.sent.clone(),
            update: self.update(),
        }
    }

    /// The same with the claims that the public draft's JSON carries.
    pub fn open_with_claims(&self) -> Open {
        let mut open = self.open();
        let outputs = self.base.channel.funding_outputs().unwrap_or_default();
        for (sent, output) in open.proofs.iter_mut().zip(outputs) {
            sent.claim = Some(crate::message::Claim {
                amount: output.amount,
                keyset: self.base.channel.keyset.id(),
                secret: output.secret,
                blinding: output.blinding,
            });
        }
        open
    }

    /// Pays `amount` more. The new word is had from the state that is saved.
    ///
    /// # Errors
    ///
    /// [`PayError`]; nothing has changed.
    pub fn pay(
        mut self,
        now: UnixTime,
        amount: Amount,
    ) -> Result<Unsaved<Self>, Box<Unmoved<Self, PayError>>> {
        match self.try_pay(now, amount) {
            Ok(()) => {
                let bytes = self.balance.to_u64().to_be_bytes().to_vec();
                Ok(Unsaved::new(self.id(), part::BALANCE, bytes, self))
            }
            Err(error) => Err(Box::new(Unmoved { state: self, error })),
        }
    }

    fn try_pay(&mut self, now: UnixTime, amount: Amount) -> Result<(), PayError> {
        if now >= self.params().expiry {
            return Err(PayError::Expired);
        }
        if amount == Amount::ZERO {
            let paid = self.balance.to_u64();
            return Err(PayError::NotMore { paid });
        }
        let left = self.left();
        if amount > left {
            let left = left.to_u64();
            return Err(PayError::NotEnough { left });
        }
        self.set(self.balance + amount)?;
        Ok(())
    }

    fn set(&mut self, balance: Amount) -> Result<(), BalanceError> {
        let digest = self.commitments.digest(&self.base.channel, balance)?;
        self.signature = self.signer.sign(digest);
        self.balance = balance;
        Ok(())
    }

    /// Pays no more: what is left is taken back as soon as the receiver has settled, or at expiry.
    pub fn close(self) -> Unsaved<Closing> {
        Base::end(self.id(), END_CLOSING, self.into_closing())
    }

    fn into_closing(self) -> Closing {
        let update = self.update();
        Closing::new(self.base, self.proofs, update)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, balance) = (self.id(), self.balance);
        write!(f, "Sender({id:?}, {balance})")
    }
}
