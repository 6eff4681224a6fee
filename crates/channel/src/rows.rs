//! What is written down. A row holds all that its part of the state needs, so that a machine can be
//! loaded without the mint.

use crate::channel::Channel;
use crate::keyset::{Keyset, MAX_KEYS, MAX_UNIT_LEN};
use crate::message::{put_id, read_id, read_point};
use cashu::{Amount, CurrencyUnit, Keys, PublicKey};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, UnixTime, Writer};
use core::str::FromStr;
use thiserror::Error;

/// Why rows are not a channel. The storage is damaged, or they are another machine's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A row that must be there is not.
    #[error("part {0} of the channel is missing")]
    Missing(u8),
    /// A row cannot be read.
    #[error("part {part} of the channel cannot be read: {error}")]
    Row {
        /// Which part.
        part: u8,
        /// Why not.
        error: DecodeError,
    },
    /// The rows contradict each other, or the key is another channel's.
    #[error("the parts of the channel do not fit together")]
    Inconsistent,
}

/// The rows of one channel, as they were read back.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a>(pub(crate) &'a [(u8, Vec<u8>)]);

impl<'a> Rows<'a> {
    pub(crate) fn get(self, part: u8) -> Option<&'a [u8]> {
        let found = self.0.iter().find(|(found, _)| *found == part);
        found.map(|(_, bytes)| bytes.as_slice())
    }

    pub(crate) fn read<T: Decode>(self, part: u8) -> Result<Option<T>, LoadError> {
        let row = |error| LoadError::Row { part, error };
        self.get(part).map(T::from_bytes).transpose().map_err(row)
    }

    pub(crate) fn need<T: Decode>(self, part: u8) -> Result<T, LoadError> {
        self.read(part)?.ok_or(LoadError::Missing(part))
    }
}

/// The terms and the keyset they are in.
pub(crate) struct Terms {
    pub(crate) params: crate::Params,
    pub(crate) keyset: Keyset,
}

impl Terms {
    pub(crate) fn of(channel: &Channel) -> Self {
        Self {
            params: channel.params.clone(),
            keyset: channel.keyset.clone(),
        }
    }
}

impl Encode for Terms {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.params);
        out.value(&self.keyset);
    }
}

impl Decode for Terms {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            params: Decode::decode(reader)?,
            keyset: Decode::decode(reader)?,
        })
    }
}

impl Encode for Keyset {
    fn encode(&self, out: &mut Writer) {
        put_id(out, &self.id());
        out.bytes(self.unit().to_string().as_bytes());
        out.varint(self.input_fee_ppk());
        out.varint(self.final_expiry().map_or(0, UnixTime::secs));
        out.varint(self.keys().len() as u64);
        for (amount, key) in self.keys() {
            out.varint(*amount);
            out.put(&key.to_bytes());
        }
    }
}

impl Decode for Keyset {
    /// Checks the id.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let invalid = |what| DecodeError::Invalid { what };
        let id = read_id(reader)?;
        let unit = CurrencyUnit::from_str(reader.text(MAX_UNIT_LEN, "unit")?)
            .map_err(|_| invalid("unit"))?;
        let input_fee_ppk = reader.varint("fee")?;
        let final_expiry = reader.varint("keyset expiry")?;
        let keys = (0..reader.bounded(MAX_KEYS, "keys")?)
            .map(|_| Ok((reader.varint("amount")?.into(), read_point(reader, "key")?)))
            .collect::<Result<std::collections::BTreeMap<Amount, PublicKey>, DecodeError>>()?;
        Self::new(&cashu::KeySet {
            id,
            unit,
            active: None,
            keys: Keys::new(keys),
            input_fee_ppk,
            final_expiry: (final_expiry > 0).then_some(final_expiry),
        })
        .map_err(|_| invalid("keyset"))
    }
}
