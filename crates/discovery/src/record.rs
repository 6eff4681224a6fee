//! What may be stored in the DHT.

use crate::keys::Name;
use coinfuse_directory::{Descriptor, DescriptorError, UnverifiedDescriptor};
use coinfuse_wire::{DecodeError, RelayId, UnixTime};
use thiserror::Error;

/// Why a record is not stored, and not believed when it was found: its sender is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Its key is not the name of a relay's record.
    #[error("the key is not the name of a relay's record")]
    Key,
    /// Its value is not a descriptor.
    #[error("not a descriptor: {0}")]
    Decode(#[from] DecodeError),
    /// Its value is the descriptor of another relay.
    #[error("the key is that of another relay")]
    WrongKey,
    /// Its value is a descriptor that cannot be believed.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
}

/// The key under which the DHT holds the descriptor of a relay.
pub fn record_key(relay: &RelayId) -> Vec<u8> {
    Name::of_relay(relay).key().to_vec()
}

/// Checks a record of the DHT. Whether there is a newer one is for the caller to know.
///
/// In the order of what the checks cost: the key, the length and the fields, whose it is, its time, the
/// signature.
pub fn check_record(key: &[u8], value: &[u8], now: UnixTime) -> Result<Descriptor, RecordError> {
    Ok(read_record(key, value)?.verify(now)?)
}

/// The cheap part of that: everything but the time and the signature.
pub(crate) fn read_record(key: &[u8], value: &[u8]) -> Result<UnverifiedDescriptor, RecordError> {
    let Some(Name::Relay(hash)) = Name::parse(key) else {
        return Err(RecordError::Key);
    };
    let descriptor = UnverifiedDescriptor::from_bytes(value)?;
    if Name::of_relay(&descriptor.claimed_relay()) != Name::Relay(hash) {
        return Err(RecordError::WrongKey);
    }
    Ok(descriptor)
}
