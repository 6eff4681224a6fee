//! Writes the seeds of the targets about choosing paths anew:
//! `cargo run --no-default-features --example path_seeds`.

use coinfuse_directory::{
    DescriptorBody, Directory, History, Identity, LinkKey, OnionKey, PathConstraints, RelayKeys,
    VoucherKey,
};
use coinfuse_fuzz::NOW;
use coinfuse_wire::{ByteCount, Encode};
use std::error::Error;
use std::path::Path;

type Done = Result<(), Box<dyn Error>>;

fn save(target: &str, name: &str, bytes: &[u8]) -> Done {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let folder = seeds.join(target);
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(folder.join(name), bytes)?)
}

fn main() -> Done {
    save("directory_history", "empty", &History::new().to_bytes())?;
    save("directory_history", "some", &some()?.to_bytes())?;
    // Hops and exit, ceilings, how many relays; each: flags, subnet, price, family. Then events.
    let wish = [0b110, 200, 255];
    let exit = |place| [0b11, place, 20, 0];
    let relay = |place, family| [0b1, place, 10, family];
    let open = [exit(0), exit(1), relay(2, 0), relay(3, 0), relay(4, 0)].concat();
    save(
        "directory_paths",
        "open",
        &[&wish[..], &[5], &open].concat(),
    )?;
    let guarded = [&wish[..], &[5], &open, &[1, 2, 0, 3, 70, 4, 190]].concat();
    save("directory_paths", "guarded", &guarded)?;
    // Two families and two subnets: one way through.
    let tight = [relay(1, 2), relay(1, 1), relay(2, 8), exit(2), relay(3, 0)].concat();
    save(
        "directory_paths",
        "tight",
        &[&wish[..], &[5], &tight].concat(),
    )
}

fn some() -> Result<History, Box<dyn Error>> {
    let mut directory = Directory::new();
    for number in 0..5 {
        let identity = Identity::from_seed([number; 32]);
        let keys = RelayKeys {
            link: LinkKey::new([1; 32]),
            onion: OnionKey::new([2; 32]),
            voucher: VoucherKey::new([2; 33]),
        };
        let mut body = DescriptorBody::new(&identity, keys, NOW);
        body.addresses.push("192.0.2.7:4433".parse()?);
        directory.insert(body.sign(&identity)?)?;
    }
    let mut history = History::new();
    for relay in directory.iter().take(2) {
        history.measured(&relay.relay, ByteCount::from_mib(3), NOW);
        history.failed(&relay.relay, NOW);
    }
    history.tend_guards(&directory, &PathConstraints::new(3), NOW, [1; 32]);
    Ok(history)
}
