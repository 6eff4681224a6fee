//! Directories on disk.

use crate::{NOW, identity, relay};
use coinfuse_directory::{Directory, Snapshot};
use coinfuse_wire::{Decode, DecodeError, Encode, UnixTime};
use core::time::Duration;

fn stored(hours: impl IntoIterator<Item = (u16, u64)>) -> Vec<u8> {
    let mut directory = Directory::new();
    directory.extend(hours.into_iter().map(|(number, hours)| {
        relay(number, |body| {
            body.expires = NOW.saturating_add(Duration::from_secs(hours * 3600));
        })
    }));
    Snapshot::of(&directory).to_bytes()
}

fn load(bytes: &[u8], now: UnixTime) -> Directory {
    let mut directory = Directory::new();
    directory.extend(Snapshot::from_bytes(bytes).unwrap().verified(now));
    directory
}

#[test]
fn what_has_expired_meanwhile_is_left_out() {
    let bytes = stored([(1, 1), (2, 3)]);
    assert_eq!(load(&bytes, NOW).len(), 2);
    let later = NOW.saturating_add(Duration::from_secs(2 * 3600));
    let left = load(&bytes, later);
    assert_eq!(left.len(), 1);
    assert!(left.get(&identity(2).relay_id()).is_some());
}

#[test]
fn what_was_changed_on_disk_is_not_believed() {
    let mut bytes = stored([(1, 1)]);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert_eq!(Snapshot::from_bytes(&bytes).unwrap().descriptors().len(), 1);
    assert!(load(&bytes, NOW).is_empty());
}

#[test]
fn what_is_no_snapshot_or_half_of_one_is_refused() {
    let bytes = stored([(1, 1), (2, 1)]);
    assert!(bytes.starts_with(b"CFDIR\0\0\x01\x02"));
    for len in 0..bytes.len() {
        assert!(Snapshot::from_bytes(&bytes[..len]).is_err(), "{len} bytes");
    }
    let mut other = bytes.clone();
    other[7] = 2;
    let what = "directory snapshot";
    assert_eq!(
        Snapshot::from_bytes(&other),
        Err(DecodeError::Invalid { what })
    );
    let flood = [&bytes[..8], &[0xfe, 0, 1, 0x86, 0xa1]].concat();
    let too_large = DecodeError::TooLarge {
        what,
        got: 100_001,
        max: 100_000,
    };
    assert_eq!(Snapshot::from_bytes(&flood), Err(too_large));
}
