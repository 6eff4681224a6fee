//! From a line of a swap to what the mint signs, and back to a coin.

use super::record::{Coin, Held, Output, Salt, Swap, Terms};
use crate::blank::{BlankError, VoucherBlank};
use crate::id::{VoucherId, coin_point};
use crate::key::{add, derive_key, multiply, subtract};
use crate::voucher::Voucher;
use bitcoin::hashes::{Hash, HashEngine, sha256};
use cashu::secret::Secret;
use cashu::{BlindSignature, BlindedMessage, KeySet, ProofDleq, PublicKey, SecretKey};
use zeroize::Zeroizing;

/// The seed from which the secrets of all coins and vouchers of a purse follow, each with a salt and
/// a counter that together are never used twice.
pub(crate) struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*seed))
    }

    /// 32 secret bytes for the purpose that `tag` names.
    fn derive(&self, tag: &[u8], salt: &Salt, counter: u64) -> Zeroizing<[u8; 32]> {
        let mut engine = sha256::Hash::engine();
        engine.input(tag);
        engine.input(&*self.0);
        engine.input(salt);
        engine.input(&counter.to_be_bytes());
        Zeroizing::new(sha256::Hash::from_engine(engine).to_byte_array())
    }

    /// The seed of the `cdk` wallet, which derives its own coins from it.
    pub(crate) fn for_cdk(&self) -> Zeroizing<[u8; 64]> {
        let mut seed = Zeroizing::new([0; 64]);
        seed[..32].copy_from_slice(&*self.derive(b"Coinfuse_cdk_seed_v1", &[0; 32], 0));
        seed[32..].copy_from_slice(&*self.derive(b"Coinfuse_cdk_seed_v1", &[0; 32], 1));
        seed
    }

    fn blinding_factor(&self, salt: &Salt, counter: u64) -> SecretKey {
        derive_key(
            b"Coinfuse_blinding_v1",
            &self.derive(b"Coinfuse_output_v1", salt, counter),
        )
    }

    fn coin_secret(&self, salt: &Salt, counter: u64) -> Secret {
        Secret::new(cashu::util::hex::encode(*self.derive(
            b"Coinfuse_coin_v1",
            salt,
            counter,
        )))
    }

    /// The blank of the voucher with this counter.
    pub(crate) fn blank(
        &self,
        (salt, counter): (&Salt, u64),
        terms: &Terms,
        denomination: crate::Denomination,
        keyset: cashu::Id,
    ) -> Result<VoucherBlank, BlankError> {
        let seed = self.derive(b"Coinfuse_voucher_v1", salt, counter);
        VoucherBlank::new(
            &terms.voucher_key,
            &seed,
            denomination,
            keyset,
            terms.locktime,
        )
    }
}

/// What the mint returned is not what it must return: it has broken the protocol or cheats. The
/// swap stays on disk as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadMint {
    /// Too few or too many signatures, or for other amounts or keysets.
    #[error("the mint's answer does not fit the request")]
    Answer,
    /// A DLEQ proof (NUT-12) is missing or wrong.
    #[error("the mint's signature is not proven to be made with its published key")]
    Dleq,
}

enum Content {
    Plain(Secret),
    Voucher(Box<VoucherBlank>, Terms),
}

/// One output, ready to be signed.
pub(crate) struct Mould {
    content: Content,
    salt: Salt,
    counter: u64,
    r: SecretKey,
    pub(crate) message: BlindedMessage,
}

/// What came of an output.
pub(crate) enum Cast {
    Coin(Coin),
    Voucher(Box<(VoucherId, Held)>),
}

impl Mould {
    /// All moulds of a swap, in its order. `None` only for arguments that happen once in 2^128.
    pub(crate) fn for_swap(seed: &Seed, swap: &Swap) -> Option<Vec<Self>> {
        let salt = swap.salt();
        swap.outputs
            .iter()
            .map(|output| Self::new(seed, &salt, swap, output))
            .collect()
    }

    fn new(seed: &Seed, salt: &Salt, swap: &Swap, output: &Output) -> Option<Self> {
        let (content, point) = match output.terms {
            None => {
                let secret = seed.coin_secret(salt, output.counter);
                let point = coin_point(&secret)?;
                (Content::Plain(secret), point)
            }
            Some(terms) => {
                let denomination = output.denomination;
                let blank = seed
                    .blank((salt, output.counter), &terms, denomination, swap.keyset)
                    .ok()?;
                let point = blank.point();
                (Content::Voucher(Box::new(blank), terms), point)
            }
        };
        let r = seed.blinding_factor(salt, output.counter);
        let blinded = add(&point, &r.public_key())?;
        let message = BlindedMessage::new(output.denomination.units().into(), swap.keyset, blinded);
        Some(Self {
            content,
            salt: *salt,
            counter: output.counter,
            r,
            message,
        })
    }

    /// Checks and unblinds the mint's signature.
    pub(crate) fn cast(
        &self,
        swap: &Swap,
        keyset: &KeySet,
        signed: &BlindSignature,
    ) -> Result<Cast, BadMint> {
        if signed.amount != self.message.amount || signed.keyset_id != swap.keyset {
            return Err(BadMint::Answer);
        }
        let key = keyset
            .keys
            .amount_key(signed.amount)
            .ok_or(BadMint::Answer)?;
        signed
            .verify_dleq(key, self.message.blinded_secret)
            .map_err(|_| BadMint::Dleq)?;
        let signature = multiply(&key, &self.r)
            .and_then(|blinding| subtract(&signed.c, &blinding))
            .ok_or(BadMint::Answer)?;
        Ok(match &self.content {
            Content::Plain(secret) => Cast::Coin(Coin {
                mint: swap.mint.clone(),
                keyset: swap.keyset,
                amount: signed.amount.to_u64(),
                secret: secret.clone(),
                signature,
            }),
            Content::Voucher(blank, terms) => {
                let held = Held {
                    mint: swap.mint.clone(),
                    keyset: swap.keyset,
                    salt: self.salt,
                    counter: self.counter,
                    terms: *terms,
                    voucher: self.voucher(blank, terms, signature, signed),
                    refused: false,
                };
                Cast::Voucher(Box::new((blank.id(), held)))
            }
        })
    }

    fn voucher(
        &self,
        blank: &VoucherBlank,
        terms: &Terms,
        signature: PublicKey,
        signed: &BlindSignature,
    ) -> Voucher {
        let dleq = signed.dleq.clone().filter(|_| !terms.issuer);
        blank.complete(
            signature,
            dleq.map(|d| ProofDleq::new(d.e, d.s, self.r.clone())),
        )
    }
}
