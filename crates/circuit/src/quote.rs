//! A relay's price, signed.

use coinfuse_wire::{Decode, DecodeError, Encode, Price, Reader, RelayId, UnixTime, Writer};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use thiserror::Error;

/// A price that a relay put its name to: circuits opened before `expires` pay it for their
/// lifetime. The same bytes go to every client, so a price cannot single one out unseen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The price.
    pub price: Price,
    /// Circuits may be opened at this price until then.
    pub expires: UnixTime,
    /// Ed25519 by the relay's identity over [`Self::signed_bytes`].
    pub signature: [u8; 64],
}

/// Why a quote is not to be relied on. The relay is at fault; leave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QuoteError {
    /// The signature is not the relay's.
    #[error("the quote is not signed by the relay's identity")]
    Signature,
    /// The quote is not valid any more.
    #[error("the quote expired at {expired:?}")]
    Expired {
        /// When.
        expired: UnixTime,
    },
}

impl Quote {
    /// Signs a price with the relay's identity, given as the 32-byte Ed25519 seed.
    pub fn sign(price: Price, expires: UnixTime, identity_seed: &[u8; 32]) -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(identity_seed)
            .expect("every 32 bytes are an Ed25519 seed");
        let mut signature = [0; 64];
        signature.copy_from_slice(key.sign(&Self::signed_bytes(price, expires)).as_ref());
        Self {
            price,
            expires,
            signature,
        }
    }

    /// Checks the signature and the expiry.
    pub fn verify(&self, relay: &RelayId, now: UnixTime) -> Result<(), QuoteError> {
        if now >= self.expires {
            return Err(QuoteError::Expired {
                expired: self.expires,
            });
        }
        UnparsedPublicKey::new(&ED25519, relay.as_bytes())
            .verify(
                &Self::signed_bytes(self.price, self.expires),
                &self.signature,
            )
            .map_err(|_| QuoteError::Signature)
    }

    /// What is signed: a domain, the price, the expiry.
    pub fn signed_bytes(price: Price, expires: UnixTime) -> Vec<u8> {
        let mut out = Writer::new();
        out.put(b"coinfuse/1 quote");
        out.value(&price);
        out.value(&expires);
        out.into_bytes()
    }
}

impl Encode for Quote {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.price);
        out.value(&self.expires);
        out.put(&self.signature);
    }
}

impl Decode for Quote {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            price: Price::decode(reader)?,
            expires: UnixTime::decode(reader)?,
            signature: reader.array("quote signature")?,
        })
    }
}
