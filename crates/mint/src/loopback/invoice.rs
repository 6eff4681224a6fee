//! Invoices of the loopback network.

use std::time::Duration;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{Secp256k1, SecretKey};
use cdk_common::Bolt11Invoice;
use cdk_common::lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use coinfuse_wire::{Msat, UnixTime};

use super::line::{Hash, Preimage};

/// A signed invoice with what its payee keeps to itself.
pub(super) struct Fresh {
    pub(super) invoice: Bolt11Invoice,
    pub(super) hash: Hash,
    pub(super) preimage: Preimage,
}

/// The payee's wishes.
pub(super) struct Terms {
    pub(super) amount: Msat,
    pub(super) description: String,
    pub(super) now: UnixTime,
    pub(super) expires: UnixTime,
}

/// Signs a regtest invoice with `key`. `None` when the terms do not fit an invoice: the
/// description is longer than 639 bytes, the amount or the time is out of range.
pub(super) fn sign(key: &SecretKey, terms: Terms) -> Option<Fresh> {
    let preimage = Preimage(random()?);
    let hash = sha256::Hash::hash(&preimage.0);
    let invoice = InvoiceBuilder::new(Currency::Regtest)
        .description(terms.description)
        .payment_hash(hash)
        .payment_secret(PaymentSecret(random()?))
        .duration_since_epoch(Duration::from_secs(terms.now.secs()))
        .expiry_time(Duration::from_secs(
            terms.expires.secs().saturating_sub(terms.now.secs()),
        ))
        .min_final_cltv_expiry_delta(144)
        .amount_milli_satoshis(terms.amount.get())
        .build_signed(|message| Secp256k1::signing_only().sign_ecdsa_recoverable(message, key))
        .ok()?;
    Some(Fresh {
        invoice,
        hash: Hash(hash.to_byte_array()),
        preimage,
    })
}

/// 32 random bytes; `None` when the system has none to give.
#[allow(
    clippy::disallowed_methods,
    reason = "the mint is in the runtime layer"
)]
pub(super) fn random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}
