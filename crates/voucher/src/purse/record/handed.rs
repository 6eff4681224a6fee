//! Coins that were handed out as a token, kept until the caller has no more need of it.

use super::{Coin, MAX_SWAP, read_list};
use crate::unit::MintId;
use cashu::nut00::Token;
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};

/// The coins of one token.
#[derive(Clone)]
pub(crate) struct Handed {
    pub(crate) mint: MintId,
    pub(crate) coins: Vec<Coin>,
}

impl Handed {
    /// The token (NUT-00, version 4), always the same text. Without DLEQ proofs: one would tell
    /// whoever gets it, and through it the mint, in which swap the coin was made.
    pub(crate) fn text(&self) -> String {
        let proofs = self.coins.iter().map(Coin::to_proof).collect();
        let unit = self.mint.unit().to_cashu();
        Token::new(self.mint.url().clone(), proofs, None, unit).to_string()
    }

    /// What it is worth, in units.
    pub(crate) fn units(&self) -> u64 {
        self.coins.iter().map(|coin| coin.amount).sum()
    }
}

impl Encode for Handed {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.mint);
        out.varint(self.coins.len() as u64);
        self.coins.iter().for_each(|coin| out.value(coin));
    }
}

impl Decode for Handed {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            mint: MintId::decode(reader)?,
            coins: read_list(reader, MAX_SWAP)?,
        })
    }
}
