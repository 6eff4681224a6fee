//! A swap as it is written down before it is sent.

use super::{
    Coin, MAX_SWAP, MAX_TEXT, Salt, Terms, put_id, read_bool, read_id, read_list, read_texts,
};
use crate::key::read_point;
use crate::purse::book::{CoinKey, key_of};
use crate::unit::MintId;
use bitcoin::hashes::{Hash, HashEngine, sha256};
use cashu::nut11::P2PKWitness;
use cashu::nuts::HTLCWitness;
use cashu::{BlindedMessage, Id, Proof, PublicKey, Witness};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};

/// The caller's name for what it has had signed.
pub(crate) type Tag = [u8; 32];

/// The most signatures that open one coin.
const MAX_SIGNATURES: usize = 64;

/// A coin that a swap spends; with what opens its lock, if it has one.
#[derive(Clone)]
pub(crate) struct Input {
    /// Of the coin; kept, since it costs a hash to the curve.
    pub(crate) key: CoinKey,
    pub(crate) coin: Coin,
    pub(crate) witness: Option<Witness>,
}

impl Input {
    /// A coin without a lock.
    pub(crate) fn plain(coin: Coin) -> Self {
        Self::new(coin, None)
    }

    fn new(coin: Coin, witness: Option<Witness>) -> Self {
        Self {
            key: key_of(&coin),
            coin,
            witness,
        }
    }

    /// What of a proof the mint must see, and no more: a DLEQ proof or an ephemeral key would tell
    /// it where the coin comes from.
    pub(crate) fn from_proof(mint: &MintId, proof: &Proof) -> Self {
        Self::new(Coin::from_proof(mint, proof), proof.witness.clone())
    }

    pub(crate) fn to_proof(&self) -> Proof {
        let mut proof = self.coin.to_proof();
        proof.witness.clone_from(&self.witness);
        proof
    }
}

impl Encode for Input {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.coin);
        match &self.witness {
            None => out.u8(0),
            Some(Witness::P2PKWitness(witness)) => {
                out.u8(1);
                put_texts(out, &witness.signatures);
            }
            Some(Witness::HTLCWitness(witness)) => {
                out.u8(2);
                out.bytes(witness.preimage.as_bytes());
                out.u8(witness.signatures.is_some().into());
                if let Some(signatures) = &witness.signatures {
                    put_texts(out, signatures);
                }
            }
        }
    }
}

impl Decode for Input {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let coin = Coin::decode(reader)?;
        let witness = match reader.u8("witness")? {
            0 => None,
            1 => Some(Witness::P2PKWitness(P2PKWitness {
                signatures: read_texts(reader, MAX_SIGNATURES)?,
            })),
            2 => Some(Witness::HTLCWitness(HTLCWitness {
                preimage: reader.text(MAX_TEXT, "preimage")?.to_owned(),
                signatures: match read_bool(reader)? {
                    true => Some(read_texts(reader, MAX_SIGNATURES)?),
                    false => None,
                },
            })),
            _ => return Err(DecodeError::Invalid { what: "witness" }),
        };
        Ok(Self::new(coin, witness))
    }
}

fn put_texts(out: &mut Writer, texts: &[String]) {
    out.varint(texts.len() as u64);
    texts.iter().for_each(|text| out.bytes(text.as_bytes()));
}

/// A coin that a swap asks for.
#[derive(Clone)]
pub(crate) struct Output {
    /// In units: one of the keyset's amounts.
    pub(crate) amount: u64,
    pub(crate) content: Content,
}

/// Whose an output is. The secrets of the purse's own follow from its seed and `counter`.
#[derive(Clone)]
pub(crate) enum Content {
    /// A plain coin of the purse.
    Coin { counter: u64 },
    /// A voucher; its amount is a power of two.
    Voucher { counter: u64, terms: Terms },
    /// An output whose secrets the purse does not know, the `place`-th of those that its caller
    /// wants signed.
    Foreign { place: u64, point: PublicKey },
    /// A plain coin that leaves the purse in a token.
    Handed { counter: u64 },
}

impl Encode for Output {
    fn encode(&self, out: &mut Writer) {
        out.varint(self.amount);
        match &self.content {
            Content::Coin { counter } => {
                out.u8(0);
                out.varint(*counter);
            }
            Content::Voucher { counter, terms } => {
                out.u8(1);
                out.varint(*counter);
                out.value(terms);
            }
            Content::Foreign { place, point } => {
                out.u8(2);
                out.varint(*place);
                out.put(&point.to_bytes());
            }
            Content::Handed { counter } => {
                out.u8(3);
                out.varint(*counter);
            }
        }
    }
}

impl Decode for Output {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let amount = reader.varint("output amount")?;
        let content = match reader.u8("output kind")? {
            0 => Content::Coin {
                counter: reader.varint("counter")?,
            },
            1 => Content::Voucher {
                counter: reader.varint("counter")?,
                terms: Terms::decode(reader)?,
            },
            2 => Content::Foreign {
                place: reader.varint("place")?,
                point: read_point(reader, "foreign output")?,
            },
            3 => Content::Handed {
                counter: reader.varint("counter")?,
            },
            _ => {
                return Err(DecodeError::Invalid {
                    what: "output kind",
                });
            }
        };
        Ok(Self { amount, content })
    }
}

/// What a swap is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Coins of the purse become vouchers, or a token, and change.
    Purchase,
    /// Coins of the purse pay for signatures on the outputs of a caller.
    Signing(Tag),
    /// Coins that come from elsewhere become coins of the purse.
    Intake,
}

impl Encode for Purpose {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Purchase => out.u8(0),
            Self::Signing(tag) => {
                out.u8(1);
                out.put(tag);
            }
            Self::Intake => out.u8(2),
        }
    }
}

impl Decode for Purpose {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8("purpose")? {
            0 => Ok(Self::Purchase),
            1 => Ok(Self::Signing(reader.array("tag")?)),
            2 => Ok(Self::Intake),
            _ => Err(DecodeError::Invalid { what: "purpose" }),
        }
    }
}

/// A swap, complete: whoever has it can send it again, and recognise every coin that comes of it.
#[derive(Clone)]
pub(crate) struct Swap {
    pub(crate) number: u64,
    pub(crate) purpose: Purpose,
    pub(crate) mint: MintId,
    pub(crate) keyset: Id,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<Output>,
}

impl Swap {
    /// See [`Salt`].
    pub(crate) fn salt(&self) -> Salt {
        let mut outputs = Writer::new();
        outputs.value(&self.mint);
        put_id(&mut outputs, &self.keyset);
        self.outputs.iter().for_each(|output| outputs.value(output));
        let mut engine = sha256::Hash::engine();
        engine.input(b"Coinfuse_swap_v1");
        // Without witnesses: they may sign the outputs that follow from the salt.
        engine.input(&(self.inputs.len() as u64).to_be_bytes());
        self.inputs.iter().for_each(|i| engine.input(&i.key));
        engine.input(&outputs.into_bytes());
        sha256::Hash::from_engine(engine).to_byte_array()
    }

    /// True if these are the outputs that it has signed for its caller, in their order.
    pub(crate) fn signs(&self, mint: &MintId, outputs: &[BlindedMessage]) -> bool {
        let mut own: Vec<_> = self
            .outputs
            .iter()
            .filter_map(|output| match &output.content {
                Content::Foreign { place, point } => Some((*place, output.amount, *point)),
                _ => None,
            })
            .collect();
        own.sort_unstable_by_key(|(place, ..)| *place);
        let wanted = outputs.iter().map(|output| {
            let amount = output.amount.to_u64();
            (output.keyset_id, amount, output.blinded_secret)
        });
        self.mint == *mint
            && own
                .into_iter()
                .map(|(_, amount, point)| (self.keyset, amount, point))
                .eq(wanted)
    }
}

impl Encode for Swap {
    fn encode(&self, out: &mut Writer) {
        out.u64(self.number);
        out.value(&self.purpose);
        out.value(&self.mint);
        put_id(out, &self.keyset);
        out.varint(self.inputs.len() as u64);
        self.inputs.iter().for_each(|input| out.value(input));
        out.varint(self.outputs.len() as u64);
        self.outputs.iter().for_each(|output| out.value(output));
    }
}

impl Decode for Swap {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            number: reader.u64("swap number")?,
            purpose: Purpose::decode(reader)?,
            mint: MintId::decode(reader)?,
            keyset: read_id(reader)?,
            inputs: read_list(reader, MAX_SWAP)?,
            outputs: read_list(reader, MAX_SWAP)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::Unit;
    use cashu::SecretKey;
    use cashu::secret::Secret;
    use std::str::FromStr;

    fn point(n: u8) -> PublicKey {
        SecretKey::from_slice(&[n; 32]).unwrap().public_key()
    }

    fn input(n: u8, witness: Option<Witness>) -> Input {
        let coin = Coin {
            mint: MintId::new("https://mint.example", Unit::Msat).unwrap(),
            keyset: Id::from_str("009a1f293253e41e").unwrap(),
            amount: 4,
            secret: Secret::new(format!("secret {n}")),
            signature: point(n),
        };
        Input::new(coin, witness)
    }

    fn swap() -> Swap {
        let signatures = vec!["a".to_owned(), "b".to_owned()];
        let p2pk = Witness::P2PKWitness(P2PKWitness {
            signatures: signatures.clone(),
        });
        let htlc = |signatures| {
            Witness::HTLCWitness(HTLCWitness {
                preimage: "p".into(),
                signatures,
            })
        };
        let inputs = vec![
            input(1, None),
            input(2, Some(p2pk)),
            input(3, Some(htlc(None))),
            input(4, Some(htlc(Some(signatures)))),
        ];
        let foreign = |place, n| Output {
            amount: 2,
            content: Content::Foreign {
                place,
                point: point(n),
            },
        };
        let coin = Output {
            amount: 8,
            content: Content::Coin { counter: 300 },
        };
        let handed = Output {
            amount: 16,
            content: Content::Handed { counter: 301 },
        };
        Swap {
            number: 7,
            purpose: Purpose::Signing([9; 32]),
            mint: inputs[0].coin.mint.clone(),
            keyset: inputs[0].coin.keyset,
            inputs,
            outputs: vec![foreign(1, 6), foreign(0, 5), coin, handed],
        }
    }

    #[test]
    fn a_swap_with_every_kind_of_witness_reads_back_as_it_was_written() {
        let bytes = swap().to_bytes();
        let again = Swap::from_bytes(&bytes).unwrap();
        assert_eq!(again.to_bytes(), bytes);
        assert_eq!(again.purpose, Purpose::Signing([9; 32]));
        for (input, again) in swap().inputs.iter().zip(&again.inputs) {
            assert_eq!(input.to_proof(), again.to_proof());
        }
    }

    #[test]
    fn a_swap_knows_the_outputs_that_it_signs_by_their_order_and_amount() {
        let swap = swap();
        let message = |n, amount: u64| BlindedMessage::new(amount.into(), swap.keyset, point(n));
        assert!(swap.signs(&swap.mint, &[message(5, 2), message(6, 2)]));
        assert!(!swap.signs(&swap.mint, &[message(6, 2), message(5, 2)]));
        assert!(!swap.signs(&swap.mint, &[message(5, 2), message(6, 4)]));
        assert!(!swap.signs(&swap.mint, &[message(5, 2)]));
        let elsewhere = MintId::new("https://other.example", Unit::Msat).unwrap();
        assert!(!swap.signs(&elsewhere, &[message(5, 2), message(6, 2)]));
    }
}
