//! Settlement: the swap of the last commitment, and what comes of it.

use crate::channel::ParamsError;
use crate::coin::{Coin, witness};
use crate::commitment::{self, BalanceError, Signer, sig_all};
use crate::derive::{Context, FundingKey, Output};
use crate::funding::{MintFault, proof, unblind};
use crate::keyset::Keyset;
use crate::message::{Update, read_list, read_point};
use crate::params::{ChannelId, Params};
use crate::receiver::{Base, Closed, ReceiverState, Word, part};
use crate::rows::LoadError;
use crate::sender::Unmoved;
use crate::step::Unsaved;
use cashu::{Amount, BlindSignature, BlindedMessage, Proof, PublicKey, SwapRequest};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;

/// How far a channel's end had come.
pub(crate) enum End {
    /// It is settled at this balance under this keyset, which is the terms' own or a newer one.
    Settling(Word, Box<Keyset>),
    /// The mint has signed.
    Settled(Word, Box<Keyset>, Vec<PublicKey>),
    /// It is over.
    Closed,
}

impl Encode for End {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Settling(word, keyset) => {
                out.u8(1);
                out.value(word);
                out.value(&**keyset);
            }
            Self::Settled(word, keyset, signatures) => {
                out.u8(2);
                out.value(word);
                out.value(&**keyset);
                out.varint(signatures.len() as u64);
                signatures.iter().for_each(|c| out.put(&c.to_bytes()));
            }
            Self::Closed => out.u8(3),
        }
    }
}

struct Point(PublicKey);

impl Decode for Point {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_point(reader, "mint's signature").map(Self)
    }
}

impl Decode for End {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8("end")? {
            1 => Self::Settling(Word::decode(reader)?, Box::new(Keyset::decode(reader)?)),
            2 => {
                let word = Word::decode(reader)?;
                let keyset = Box::new(Keyset::decode(reader)?);
                let points: Vec<Point> = read_list(reader, "signatures")?;
                Self::Settled(
                    word,
                    keyset,
                    points.into_iter().map(|point| point.0).collect(),
                )
            }
            3 => Self::Closed,
            got => {
                return Err(DecodeError::Unknown {
                    what: "end",
                    got: got.into(),
                });
            }
        })
    }
}

/// A channel that is being settled: send [`Self::swap`] to the mint (NUT-03) until there is an
/// answer.
///
/// * It signs: [`Self::settled`].
/// * It says that the inputs are spent: restore [`Self::outputs`] (NUT-09). If it has them, an
///   earlier answer was lost: [`Self::settled`]. If not, the sender has taken its money back after
///   the expiry: [`Self::lost`].
/// * It refuses the keyset (codes 12000 to 12999): take an active one, [`Self::under`], and again.
/// * What it restores is of another keyset ([`MintFault::Keyset`]): the swap had succeeded before
///   the keyset was changed here. [`Self::under`] that one, and [`Self::settled`].
pub struct Settling {
    base: Base,
    keyset: Keyset,
    proofs: Vec<Proof>,
    last: Update,
}

impl Settling {
    pub(crate) const fn new(base: Base, keyset: Keyset, proofs: Vec<Proof>, last: Update) -> Self {
        Self {
            base,
            keyset,
            proofs,
            last,
        }
    }

    pub(crate) fn resume(mut self, end: End) -> Result<ReceiverState, LoadError> {
        Ok(match end {
            End::Settling(word, keyset) => {
                self.last = word.update(self.id());
                self.keyset = *keyset;
                ReceiverState::Settling(self)
            }
            End::Settled(word, keyset, signatures) => {
                self.last = word.update(self.id());
                self.keyset = *keyset;
                let outputs = self.derive().map_err(|_| LoadError::Inconsistent)?;
                if outputs.len() != signatures.len() {
                    return Err(LoadError::Inconsistent);
                }
                ReceiverState::Settled(self.complete(&outputs, &signatures))
            }
            End::Closed => ReceiverState::Closed(self.closed()),
        })
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

    /// The keyset under which it is settled.
    pub const fn keyset(&self) -> &Keyset {
        &self.keyset
    }

    /// The swap for the mint, signed by both.
    ///
    /// # Errors
    ///
    /// [`BalanceError`] never in practice: the commitment was derived before.
    pub fn swap(&self) -> Result<SwapRequest, BalanceError> {
        let mut swap = SwapRequest::new(self.proofs.clone(), self.outputs()?);
        let base = &self.base;
        let key = base
            .channel
            .funding_secret(FundingKey::Receiver, &base.key)
            .ok_or(ParamsError::Underivable)?;
        let digest = sig_all(swap.inputs(), swap.outputs());
        let signatures = [self.last.signature, Signer::new(&key).sign(digest)];
        if let Some(first) = swap.inputs_mut().first_mut() {
            first.witness = Some(witness(
                signatures.iter().map(ToString::to_string).collect(),
            ));
        }
        Ok(swap)
    }

    /// The outputs of the swap, in its order: what to restore if the answer was lost.
    ///
    /// # Errors
    ///
    /// As [`Self::swap`].
    pub fn outputs(&self) -> Result<Vec<BlindedMessage>, BalanceError> {
        let id = self.keyset.id();
        let outputs = self.derive()?;
        Ok(outputs
            .iter()
            .map(|(_, output)| output.message(id))
            .collect())
    }

    fn derive(&self) -> Result<Vec<(Context, Output)>, BalanceError> {
        commitment::outputs(&self.base.channel, self.last.balance)
    }

    /// Settles under another keyset of the mint, because the mint has retired the present one. The
    /// sender's signature does not cover the keyset, so none has to be asked for (SPILMAN 6).
    pub fn under(mut self, keyset: &Keyset) -> Unsaved<Self> {
        self.keyset = keyset.clone();
        let end = End::Settling(Word::of(&self.last), Box::new(keyset.clone()));
        Unsaved::new(self.id(), part::END, end.to_bytes(), self)
    }

    /// The mint signed, in the order of the outputs. Every signature is checked.
    ///
    /// # Errors
    ///
    /// [`MintFault`]; nothing has changed.
    pub fn settled(
        self,
        signatures: &[BlindSignature],
    ) -> Result<Unsaved<Settled>, Box<Unmoved<Self, MintFault>>> {
        match self.unblind(signatures) {
            Ok((outputs, signatures)) => {
                let end = End::Settled(
                    Word::of(&self.last),
                    Box::new(self.keyset.clone()),
                    signatures.clone(),
                );
                let (id, bytes) = (self.id(), end.to_bytes());
                let next = self.complete(&outputs, &signatures);
                Ok(Unsaved::new(id, part::END, bytes, next))
            }
            Err(error) => Err(Box::new(Unmoved { state: self, error })),
        }
    }

    #[allow(
        clippy::type_complexity,
        reason = "the outputs and their signatures, once"
    )]
    fn unblind(
        &self,
        signatures: &[BlindSignature],
    ) -> Result<(Vec<(Context, Output)>, Vec<PublicKey>), MintFault> {
        let outputs = self.derive().map_err(BalanceError::terms)?;
        let plain: Vec<_> = outputs.iter().map(|(_, output)| output.clone()).collect();
        let signed = unblind(&self.keyset, &plain, signatures)?;
        Ok((outputs, signed.into_iter().map(|(c, ..)| c).collect()))
    }

    fn complete(self, outputs: &[(Context, Output)], signatures: &[PublicKey]) -> Settled {
        let id = self.keyset.id();
        let (mut coins, mut remainder) = (Vec::new(), Vec::new());
        for ((context, output), c) in outputs.iter().zip(signatures) {
            let proof = proof(output, id, *c);
            match context {
                Context::Sender => remainder.push(proof),
                _ => coins.extend(Coin::new(proof, &self.base.key)),
            }
        }
        Settled {
            closed: self.closed(),
            balance: self.last.balance,
            coins,
            remainder,
        }
    }

    const fn closed(&self) -> Closed {
        Closed {
            channel: self.base.channel.id,
            expiry: self.params().expiry,
        }
    }

    /// The sender has taken its money back: the channel was not settled before its expiry.
    pub fn lost(self) -> Unsaved<Closed> {
        let closed = self.closed();
        Unsaved::new(self.id(), part::END, End::Closed.to_bytes(), closed)
    }
}

impl fmt::Debug for Settling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, balance) = (self.id(), self.balance());
        write!(f, "Settling({id:?}, {balance})")
    }
}

/// A settled channel, whose coins are to be swapped for plain ones.
#[derive(Debug)]
pub struct Settled {
    closed: Closed,
    balance: Amount,
    coins: Vec<Coin>,
    remainder: Vec<Proof>,
}

impl Settled {
    /// The channel's name.
    pub const fn id(&self) -> ChannelId {
        self.closed.channel
    }

    /// What the sender has paid.
    pub const fn balance(&self) -> Amount {
        self.balance
    }

    /// The receiver's coins.
    pub fn coins(&self) -> &[Coin] {
        &self.coins
    }

    /// The sender's coins, locked to its key: a courtesy to hand them over, since it can find them
    /// by itself.
    pub fn remainder(&self) -> &[Proof] {
        &self.remainder
    }

    /// The receiver's coins are plain ones now.
    pub fn collected(self) -> Unsaved<Closed> {
        let id = self.id();
        Unsaved::new(id, part::END, End::Closed.to_bytes(), self.closed)
    }
}
