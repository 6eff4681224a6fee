//! Relays for this crate's tests.

use coinfuse_directory::{
    Descriptor, DescriptorBody, Identity, LinkKey, OnionKey, RelayKeys, VoucherKey,
};
use coinfuse_wire::UnixTime;

/// The time in all tests.
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

pub(crate) fn identity(number: u16) -> Identity {
    let mut seed = [0x5e; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    Identity::from_seed(seed)
}

/// Relay `number`, with one address and whatever `change` does to it.
pub(crate) fn relay(number: u16, change: impl FnOnce(&mut DescriptorBody)) -> Descriptor {
    let identity = identity(number);
    let keys = RelayKeys {
        link: LinkKey::new([0x11; 32]),
        onion: OnionKey::new([0x22; 32]),
        voucher: VoucherKey::new([0x02; 33]),
    };
    let mut body = DescriptorBody::new(&identity, keys, NOW);
    body.addresses.push("1.2.3.4:4433".parse().unwrap());
    change(&mut body);
    body.sign(&identity)
        .expect("a test's descriptor is in bounds")
}
