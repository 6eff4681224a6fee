//! From a line of a swap to what the mint signs, and back to a coin.

use super::record::{Coin, Content, Held, Output, Salt, Standing, Swap, Terms};
use crate::blank::{BlankError, VoucherBlank};
use crate::id::{VoucherId, coin_point};
use crate::key::{add, derive_key, multiply, subtract};
use crate::unit::Denomination;
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
        denomination: Denomination,
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

/// What only the owner of an output knows of it.
enum Shape {
    Coin {
        secret: Secret,
        r: SecretKey,
        handed: bool,
    },
    Voucher {
        blank: Box<VoucherBlank>,
        terms: Box<Terms>,
        counter: u64,
        r: SecretKey,
    },
    Foreign {
        place: u64,
    },
}

/// One output, ready to be signed.
pub(crate) struct Mould {
    shape: Shape,
    salt: Salt,
    pub(crate) message: BlindedMessage,
}

/// What came of an output.
pub(crate) enum Cast {
    Coin(Coin),
    /// A coin of a token.
    Handed(Coin),
    Voucher(Box<(VoucherId, Held)>),
    /// The signature on an output of a caller: its place, its point.
    Foreign(u64, PublicKey, BlindSignature),
}

impl Mould {
    /// All moulds of a swap, in the order in which they are sent: by amount (NUT-03), and among
    /// equals by point, so that no place tells what is wanted from change. `None` only for arguments
    /// that happen once in 2^128.
    pub(crate) fn for_swap(seed: &Seed, swap: &Swap) -> Option<Vec<Self>> {
        let salt = swap.salt();
        let moulds = swap.outputs.iter();
        let moulds = moulds.map(|output| Self::new(seed, &salt, swap, output));
        let mut moulds = moulds.collect::<Option<Vec<_>>>()?;
        moulds.sort_by_cached_key(|mould| {
            (
                mould.message.amount,
                mould.message.blinded_secret.to_bytes(),
            )
        });
        Some(moulds)
    }

    fn new(seed: &Seed, salt: &Salt, swap: &Swap, output: &Output) -> Option<Self> {
        let (shape, blinded) = match output.content {
            Content::Coin { counter } | Content::Handed { counter } => {
                let handed = matches!(output.content, Content::Handed { .. });
                let secret = seed.coin_secret(salt, counter);
                let r = seed.blinding_factor(salt, counter);
                let blinded = add(&coin_point(&secret)?, &r.public_key())?;
                (Shape::Coin { secret, r, handed }, blinded)
            }
            Content::Voucher { counter, terms } => {
                let denomination = Denomination::from_units(output.amount)?;
                let name = (salt, counter);
                let blank = seed.blank(name, &terms, denomination, swap.keyset).ok()?;
                let r = seed.blinding_factor(salt, counter);
                let blinded = add(&blank.point(), &r.public_key())?;
                let (blank, terms) = (Box::new(blank), Box::new(terms));
                let shape = Shape::Voucher {
                    blank,
                    terms,
                    counter,
                    r,
                };
                (shape, blinded)
            }
            Content::Foreign { place, point } => (Shape::Foreign { place }, point),
        };
        Some(Self {
            shape,
            salt: *salt,
            message: BlindedMessage::new(output.amount.into(), swap.keyset, blinded),
        })
    }

    /// True for an output of a caller.
    pub(crate) const fn is_foreign(&self) -> bool {
        matches!(self.shape, Shape::Foreign { .. })
    }

    /// True if a signature is for what was asked, by its own account.
    pub(crate) fn fits(&self, signed: &BlindSignature) -> bool {
        signed.amount == self.message.amount && signed.keyset_id == self.message.keyset_id
    }

    /// Checks and unblinds the mint's signature.
    pub(crate) fn cast(
        &self,
        swap: &Swap,
        keyset: &KeySet,
        signed: &BlindSignature,
    ) -> Result<Cast, BadMint> {
        if !self.fits(signed) {
            return Err(BadMint::Answer);
        }
        let key = keyset
            .keys
            .amount_key(signed.amount)
            .ok_or(BadMint::Answer)?;
        signed
            .verify_dleq(key, self.message.blinded_secret)
            .map_err(|_| BadMint::Dleq)?;
        let unblind = |r: &SecretKey| {
            multiply(&key, r)
                .and_then(|blinding| subtract(&signed.c, &blinding))
                .ok_or(BadMint::Answer)
        };
        Ok(match &self.shape {
            Shape::Coin { secret, r, handed } => {
                let coin = Coin {
                    mint: swap.mint.clone(),
                    keyset: swap.keyset,
                    amount: signed.amount.to_u64(),
                    secret: secret.clone(),
                    signature: unblind(r)?,
                };
                match handed {
                    true => Cast::Handed(coin),
                    false => Cast::Coin(coin),
                }
            }
            Shape::Voucher {
                blank,
                terms,
                counter,
                r,
            } => {
                let dleq = signed.dleq.clone();
                let dleq = dleq.map(|dleq| ProofDleq::new(dleq.e, dleq.s, r.clone()));
                let voucher = match terms.issuer {
                    true => blank.complete_with_tweak(unblind(r)?),
                    false => blank.complete(unblind(r)?, dleq),
                };
                let held = Held {
                    mint: swap.mint.clone(),
                    keyset: swap.keyset,
                    salt: self.salt,
                    counter: *counter,
                    terms: **terms,
                    voucher,
                    standing: Standing::Open,
                };
                Cast::Voucher(Box::new((blank.id(), held)))
            }
            Shape::Foreign { place } => {
                Cast::Foreign(*place, self.message.blinded_secret, signed.clone())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purse::record::{Input, Purpose};
    use crate::unit::{MintId, Unit};
    use std::str::FromStr;

    fn point(n: u8) -> PublicKey {
        SecretKey::from_slice(&[n; 32]).unwrap().public_key()
    }

    fn swap(coin: &str, foreign: u8) -> Swap {
        let mint = MintId::new("https://mint.example", Unit::Msat).unwrap();
        let keyset = cashu::Id::from_str("009a1f293253e41e").unwrap();
        let input = Input::plain(Coin {
            mint: mint.clone(),
            keyset,
            amount: 64,
            secret: Secret::new(coin),
            signature: point(1),
        });
        let output = |amount, content| Output { amount, content };
        let stranger = |place, n| {
            let point = point(n);
            output(4, Content::Foreign { place, point })
        };
        let coin = |amount, counter| output(amount, Content::Coin { counter });
        let mut outputs = vec![stranger(0, foreign), stranger(1, 200)];
        outputs.extend([coin(4, 1), coin(4, 2), coin(2, 3)]);
        Swap {
            number: 1,
            purpose: Purpose::Signing([1; 32]),
            mint,
            keyset,
            inputs: vec![input],
            outputs,
        }
    }

    fn points(swap: &Swap) -> Vec<(u64, [u8; 33])> {
        let moulds = Mould::for_swap(&Seed::new(&[7; 32]), swap).unwrap();
        let messages = moulds.iter().map(|mould| &mould.message);
        messages
            .map(|m| (m.amount.to_u64(), m.blinded_secret.to_bytes()))
            .collect()
    }

    #[test]
    fn outputs_are_sent_by_amount_and_then_as_if_shuffled() {
        let points = points(&swap("a", 100));
        assert!(points.is_sorted());
        assert_eq!(points[0].0, 2);
    }

    #[test]
    fn another_swap_of_the_same_coin_has_other_secrets() {
        let first = points(&swap("a", 100));
        assert_eq!(points(&swap("a", 100)), first);
        for other in [swap("a", 101), swap("b", 100)] {
            let again = points(&other);
            let same = again.iter().filter(|point| first.contains(point));
            // Those of the caller, and none of ours.
            let foreign = [100, 200].map(|n| (4, point(n).to_bytes()));
            assert!(same.into_iter().all(|point| foreign.contains(point)));
        }
    }
}
