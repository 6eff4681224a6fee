//! What the crate promises, from outside.

mod address;
mod apart;
mod audit;
mod descriptor;
mod guards;
mod history;
mod journal;
mod path;
mod path_of_packets;
mod policy;
mod snapshot;
mod sync;
mod tending;
mod text;
mod weights;

use coinfuse_directory::{
    Descriptor, DescriptorBody, Directory, History, Identity, LinkKey, OnionKey, Path,
    PathConstraints, RelayKeys, SelectError, VoucherKey, select_path,
};
use coinfuse_wire::{RelayId, UnixTime};

/// The time in all tests.
const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn identity(number: u16) -> Identity {
    let mut seed = [0x5e; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    Identity::from_seed(seed)
}

fn keys() -> RelayKeys {
    RelayKeys {
        link: LinkKey::new([0x11; 32]),
        onion: OnionKey::new([0x22; 32]),
        voucher: VoucherKey::new([0x02; 33]),
    }
}

/// Relay `number`, with one address and whatever `change` does to it.
fn relay(number: u16, change: impl FnOnce(&mut DescriptorBody)) -> Descriptor {
    let identity = identity(number);
    let mut body = DescriptorBody::new(&identity, keys(), NOW);
    body.addresses.push("192.0.2.1:4433".parse().unwrap());
    change(&mut body);
    body.sign(&identity)
        .expect("a test's descriptor is in bounds")
}

/// A path by what relays say, without anything seen of them.
fn choose(
    directory: &Directory,
    constraints: &PathConstraints,
    seed: [u8; 32],
) -> Result<Path, SelectError> {
    select_path(directory, constraints, &History::new(), seed)
}

fn id(number: u16) -> RelayId {
    identity(number).relay_id()
}

fn directory(relays: impl IntoIterator<Item = Descriptor>) -> Directory {
    let mut directory = Directory::new();
    directory.extend(relays);
    directory
}

fn seed(number: u32) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    seed
}
