//! Whose a channel is.

use coinfuse_circuit::AccountToken;
use coinfuse_voucher::{MintId, Unit};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, RelayId, Writer};

/// The longest address of a mint.
const MAX_URL: usize = coinfuse_channel::MAX_MINT_LEN;

/// What the channel's machine does not know: the account that it pays into, and where its money
/// is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) relay: RelayId,
    pub(super) account: AccountToken,
    pub(super) mint: MintId,
}

impl Encode for Owner {
    fn encode(&self, out: &mut Writer) {
        out.put(self.relay.as_bytes());
        out.put(self.account.as_bytes());
        out.bytes(self.mint.unit().as_str().as_bytes());
        out.bytes(self.mint.url().to_string().as_bytes());
    }
}

impl Decode for Owner {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let invalid = |what| DecodeError::Invalid { what };
        let relay = RelayId::new(reader.array("relay")?);
        let account = AccountToken::new(reader.array("account")?);
        let unit: Unit = reader
            .text(8, "unit")?
            .parse()
            .map_err(|_| invalid("unit"))?;
        let mint = MintId::new(reader.text(MAX_URL, "mint")?, unit).map_err(|_| invalid("mint"))?;
        Ok(Self {
            relay,
            account,
            mint,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_back() {
        let owner = Owner {
            relay: RelayId::new([1; 32]),
            account: AccountToken::new([2; 32]),
            mint: MintId::new("https://mint.example/path", Unit::Sat).unwrap(),
        };
        assert_eq!(Owner::from_bytes(&owner.to_bytes()), Ok(owner));
    }
}
