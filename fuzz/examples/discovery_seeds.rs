//! Writes the seeds of the targets about the network of nodes anew:
//! `cargo run --no-default-features --example discovery_seeds`.

use coinfuse_discovery::{PeerAddress, peer_key, record_key};
use coinfuse_fuzz::DIRECTORY;
use std::error::Error;
use std::path::Path;

type Done = Result<(), Box<dyn Error>>;

fn save(target: &str, name: &str, bytes: &[u8]) -> Done {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let folder = seeds.join(target);
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(folder.join(name), bytes)?)
}

fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    [&[key.len() as u8], key, value].concat()
}

fn main() -> Done {
    let known: Vec<_> = DIRECTORY.iter().collect();
    let [one, other] = [known[0], known[1]];
    let key = record_key(&one.relay);
    for (name, key, value) in [
        ("good", &key[..], one.as_bytes()),
        ("of_another", &key, other.as_bytes()),
        ("empty", &key, &[]),
        ("service", b"/coinfuse/service/1/\x00\x01", one.as_bytes()),
    ] {
        save("discovery_record", name, &record(key, value))?;
    }
    let key = peer_key([7; 32]);
    for (name, address) in [("v4", "192.0.2.7:4434"), ("v6", "[2001:db8::7]:4434")] {
        let address = address.parse()?;
        let text = PeerAddress { key, address }.to_string();
        save("discovery_peer", name, text.as_bytes())?;
    }
    let name =
        b"/dns4/relay.example/tcp/4434/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
    save("discovery_peer", "name", name)
}
