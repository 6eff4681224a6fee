//! A relay's payment channels: it is the receiver of all of them.
//!
//! ```text
//! circuit ── cashier ── desk ──┬── slots     who has which channel; the channels in memory
//!                              ├── book      between the channels' machines and the ledger
//!                              └── ledger    rows and credit, in one transaction
//! treasury ── close, settle ───┘
//! ```
//!
//! A channel belongs to the account of the circuit on which it was opened. An update is judged at
//! once if its channel is in memory and free, and what it pays may be served ahead; it is
//! acknowledged when it is on disk. A step whose writing failed or was given up leaves no trace in
//! memory: what is in the ledger counts, and is read again.

mod book;
mod desk;
mod policy;
mod slots;
#[cfg(test)]
mod tests;

pub use policy::ChannelPolicy;

pub(crate) use desk::{Act, Presented};

use crate::store::{ChannelKey, Ledger};
use book::Book;
use cashu::{KeySet, SecretKey};
use coinfuse_channel::{ChannelId, Keyset, KeysetError, Refusal, Terms};
use coinfuse_voucher::{MintId, NotAKey, Unit};
use coinfuse_wire::UnixTime;
use core::fmt;
use std::sync::{Arc, PoisonError};

/// The most keysets that are known; of more, the oldest are forgotten.
const MAX_KEYSETS: usize = 256;

/// A relay's channels; clones share them. The relay takes payments through it, and the
/// [treasury](crate::treasury) settles.
#[derive(Clone)]
pub struct Channels(Arc<Book>);

impl Channels {
    /// The channels that are in `ledger` and those to come, to the receiver who holds the secret
    /// `key` (secp256k1), at these mints. Their keysets are not known yet: [`Self::learn`].
    ///
    /// # Errors
    ///
    /// [`NotAKey`] for one of the 2^128th part of all keys that are none.
    pub fn new(
        key: [u8; 32],
        mints: Vec<MintId>,
        ledger: Ledger,
        policy: ChannelPolicy,
    ) -> Result<Self, NotAKey> {
        let key = SecretKey::from_slice(&key).map_err(|_| NotAKey)?;
        let mut terms = Terms::new(key);
        terms.max_proofs = policy.max_proofs;
        terms.min_lifetime = policy.min_lifetime;
        terms.max_lifetime = policy.max_lifetime;
        terms.margin = policy.margin;
        Ok(Self(Arc::new(Book::new(terms, mints, ledger, policy))))
    }

    /// Takes channels with this keyset of `mint` from now on. One in another unit is passed over;
    /// one that is known already changes nothing.
    ///
    /// # Errors
    ///
    /// [`KeysetError`] if the keyset cannot carry channels.
    pub fn learn(&self, mint: &MintId, keyset: &KeySet) -> Result<(), KeysetError> {
        if Unit::from_cashu(&keyset.unit) != Some(mint.unit()) || self.keyset(keyset.id).is_some() {
            return Ok(());
        }
        let keyset = Keyset::new(keyset)?;
        let mut terms = self.0.terms.write().unwrap_or_else(PoisonError::into_inner);
        let mut wider = Terms::clone(&terms);
        if wider.keysets.len() >= MAX_KEYSETS {
            wider.keysets.remove(0);
        }
        wider.keysets.push((mint.url().to_string(), keyset));
        *terms = Arc::new(wider);
        Ok(())
    }

    /// On which terms channels are taken.
    pub fn policy(&self) -> &ChannelPolicy {
        &self.0.policy
    }

    /// A keyset that was learnt.
    pub(crate) fn keyset(&self, id: cashu::Id) -> Option<Keyset> {
        let terms = self.0.terms();
        let known = terms.keysets.iter().map(|(_, keyset)| keyset);
        known.into_iter().find(|known| known.id() == id).cloned()
    }

    /// The terms as they are now.
    pub(crate) fn terms(&self) -> Arc<Terms> {
        self.0.terms()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// Judges what a client presents as far as that is possible without waiting.
    pub(crate) fn present(
        &self,
        now: UnixTime,
        account: crate::store::AccountKey,
        act: Act,
        payment: &[u8],
    ) -> Presented {
        Presented::new(Arc::clone(&self.0), now, account, act, payment)
    }

    /// Lets a channel take no more updates, if it still does.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if it cannot be done now.
    pub(crate) async fn close(&self, channel: &ChannelKey) -> Result<(), Refusal> {
        let id = ChannelId::new(*channel.as_bytes());
        let mut entry = self.0.enter(id).await?;
        self.0.close(&mut entry).await
    }

    /// Resolves when somebody came with a keyset that is not known.
    pub(crate) async fn keysets_wanted(&self) {
        self.0.wanted.notified().await;
    }

    /// All mints were asked for their keysets, and those that answered have been learnt.
    pub(crate) fn keysets_asked(&self, now: UnixTime) {
        self.0.asked(now);
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channels")
    }
}
