//! The sender's way back: what is left, once the receiver has settled; everything, after expiry.

use crate::channel::ParamsError;
use crate::coin::{Coin, witness};
use crate::commitment::{BalanceError, Commitments, Signer, sig_all};
use crate::derive::{Context, FundingKey, Output};
use crate::funding::{MintFault, proof, unblind};
use crate::keyset::{Keyset, MAX_OUTPUTS};
use crate::message::Update;
use crate::params::{ChannelId, Params};
use crate::sender::{Base, Done, END_DONE};
use crate::step::Unsaved;
use cashu::{Amount, BlindSignature, BlindedMessage, Proof, PublicKey, SwapRequest};
use coinfuse_wire::UnixTime;
use core::fmt;
use std::collections::HashMap;
use thiserror::Error;

/// A channel that the sender has closed. Ask the mint for the state of [`Self::watch`] (NUT-07):
/// when it is spent, the receiver has settled and [`Self::search`] finds what is left; when it is
/// unspent after the expiry, [`Self::refund`] takes back everything.
pub struct Closing {
    base: Base,
    proofs: Vec<Proof>,
    update: Update,
}

/// Why there is no refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RefundError {
    /// Until then the mint asks for the receiver's signature as well.
    #[error("the channel does not expire before {0:?}")]
    TooEarly(UnixTime),
}

impl Closing {
    pub(crate) const fn new(base: Base, proofs: Vec<Proof>, update: Update) -> Self {
        Self {
            base,
            proofs,
            update,
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

    /// The word for the last balance, to be sent with the wish to settle.
    pub const fn update(&self) -> Update {
        self.update
    }

    /// The word for a balance that both parties agree on, which may be lower than what was paid; for
    /// the last balance, if that is lower still. The receiver can settle at any word it has, so this
    /// gives nothing away.
    ///
    /// # Errors
    ///
    /// [`BalanceError`] if the mint's coins do not make it up.
    pub fn update_at(&self, balance: Amount) -> Result<Update, BalanceError> {
        if balance >= self.update.balance {
            return Ok(self.update);
        }
        let base = &self.base;
        let digest = Commitments::new(&self.proofs).digest(&base.channel, balance)?;
        let key = base.channel.funding_secret(FundingKey::Sender, &base.key);
        let key = key.ok_or(ParamsError::Underivable)?;
        Ok(Update {
            channel: self.id(),
            balance,
            signature: Signer::new(&key).sign(digest),
        })
    }

    /// A funding proof's `Y`, whose state (NUT-07) says whether the channel was settled: all are
    /// spent together. `None` happens once in 2^65536.
    pub fn watch(&self) -> Option<PublicKey> {
        self.proofs.first()?.y().ok()
    }

    /// Looks for what a settlement left to the sender (SPILMAN 8). `newer` are the keysets that the
    /// mint has activated since the channel was set up, under which it may have been settled too.
    pub fn search(&self, newer: &[Keyset]) -> Search<'_> {
        let own = std::iter::once(&self.base.channel.keyset);
        Search {
            closing: self,
            keysets: own.chain(newer).cloned().collect(),
            index: 0,
            amounts: self.base.channel.ladder.steps().collect(),
            found: Vec::new(),
        }
    }

    /// The way back after expiry: sign a swap of all the funding proofs with it.
    ///
    /// # Errors
    ///
    /// [`RefundError::TooEarly`] by `now`; the mint's clock has the last word.
    pub fn refund(&self, now: UnixTime) -> Result<Refund<'_>, RefundError> {
        let expiry = self.params().expiry;
        match now > expiry {
            true => Ok(Refund(self)),
            false => Err(RefundError::TooEarly(expiry)),
        }
    }

    /// All that was left is in safety: the rows can be erased.
    pub fn done(self) -> Unsaved<Done> {
        let channel = self.id();
        Base::end(channel, END_DONE, Done { channel })
    }
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Closing({:?}, {})", self.id(), self.update.balance)
    }
}

/// Signs the swap that takes back a channel after its expiry.
#[derive(Debug, Clone, Copy)]
pub struct Refund<'a>(&'a Closing);

impl Refund<'_> {
    /// The funding proofs, all of which must be the inputs of one swap, in this order and with no
    /// other.
    pub fn inputs(&self) -> &[Proof] {
        &self.0.proofs
    }

    /// Signs a swap of these inputs for outputs of the sender's choice.
    pub fn sign(&self, swap: &mut SwapRequest) {
        let digest = sig_all(swap.inputs(), swap.outputs());
        let base = &self.0.base;
        // The derivation was tried when the channel was planned.
        let key = base.channel.funding_secret(FundingKey::Refund, &base.key);
        if let (Some(key), Some(first)) = (key, swap.inputs_mut().first_mut()) {
            first.witness = Some(witness(vec![Signer::new(&key).sign(digest).to_string()]));
        }
    }
}

/// Looks for the sender's coins of a settlement, a round of questions to the mint at a time: all
/// amounts with index 0, then those that were found with index 1, and so on.
///
/// ```text
/// while let Some(outputs) = search.question() {
///     search.answer(mint.restore(outputs))?;      // NUT-09
/// }
/// let coins = search.found();
/// ```
pub struct Search<'a> {
    closing: &'a Closing,
    keysets: Vec<Keyset>,
    index: u32,
    amounts: Vec<Amount>,
    found: Vec<Coin>,
}

impl Search<'_> {
    /// What to restore next; `None` when everything was found.
    ///
    /// # Errors
    ///
    /// [`ParamsError`] never in practice: these outputs were derived before.
    pub fn question(&self) -> Result<Option<Vec<BlindedMessage>>, ParamsError> {
        // A mint that goes on signing must not keep anybody busy.
        if self.amounts.is_empty() || u64::from(self.index) > MAX_OUTPUTS {
            return Ok(None);
        }
        let outputs = self.outputs()?;
        // A mint looks the outputs up by their points, whatever the keyset.
        let id = self.closing.params().keyset_id;
        Ok(Some(
            outputs.iter().map(|output| output.message(id)).collect(),
        ))
    }

    fn outputs(&self) -> Result<Vec<Output>, ParamsError> {
        let channel = &self.closing.base.channel;
        let output =
            |amount: &Amount| channel.commitment_output(Context::Sender, *amount, self.index);
        self.amounts.iter().map(output).collect()
    }

    /// What the mint had of it, as pairs of output and signature in any order.
    ///
    /// # Errors
    ///
    /// [`MintFault::Keyset`] if a signature is of a keyset that is not known here: search again with
    /// it. Another [`MintFault`] if a signature does not fit its output.
    pub fn answer(
        &mut self,
        restored: &[(BlindedMessage, BlindSignature)],
    ) -> Result<(), MintFault> {
        let signed: HashMap<_, _> = restored
            .iter()
            .map(|(output, signature)| (output.blinded_secret, signature))
            .collect();
        let (mut amounts, mut coins) = (Vec::new(), Vec::new());
        for output in self.outputs()? {
            let Some(signature) = signed.get(&output.point) else {
                continue;
            };
            amounts.push(output.amount);
            coins.extend(self.coin(&output, signature)?);
        }
        self.found.append(&mut coins);
        self.amounts = amounts;
        self.index += 1;
        Ok(())
    }

    fn coin(&self, output: &Output, signed: &BlindSignature) -> Result<Option<Coin>, MintFault> {
        let known = |keyset: &&Keyset| keyset.id() == signed.keyset_id;
        let keyset = self.keysets.iter().find(known);
        let keyset = keyset.ok_or(MintFault::Keyset(signed.keyset_id))?;
        let signed = std::slice::from_ref(signed);
        let (c, ..) = unblind(keyset, std::slice::from_ref(output), signed)?.swap_remove(0);
        let proof = proof(output, keyset.id(), c);
        Ok(Coin::new(proof, &self.closing.base.key))
    }

    /// The coins that were found; none if the receiver got everything.
    pub fn found(self) -> Vec<Coin> {
        self.found
    }
}

impl fmt::Debug for Search<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Search({:?}, {} found)",
            self.closing.id(),
            self.found.len()
        )
    }
}
