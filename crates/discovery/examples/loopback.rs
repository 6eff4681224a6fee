//! What discovery costs, on one machine:
//!
//!     cargo run --release -p coinfuse-discovery --example loopback -- 100 10000
//!
//! The first number is how many relays run, of which a new client learns; the second how many
//! descriptors one relay holds, which a new client fetches.

use coinfuse_directory::{
    Descriptor, DescriptorBody, Directory, Identity, LinkKey, OnionKey, RelayKeys, Snapshot,
    SourceOffer, VoucherKey,
};
use coinfuse_discovery::{Clock, Discovery, DiscoveryConfig, PeerAddress};
use coinfuse_wire::Encode;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn seed(number: u32, purpose: u8) -> [u8; 32] {
    let mut seed = [purpose; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    seed
}

fn descriptor(number: u32, source: Option<SourceOffer>) -> Outcome<Descriptor> {
    let identity = Identity::from_seed(seed(number, 1));
    let keys = RelayKeys {
        link: LinkKey::new(seed(number, 2)),
        onion: OnionKey::new(seed(number, 3)),
        voucher: VoucherKey::new([2; 33]),
    };
    let mut body = DescriptorBody::new(&identity, keys, Clock::system().now());
    body.addresses.push("127.0.0.1:4433".parse()?);
    body.mints.push(coinfuse_directory::MintOffer {
        url: "https://mint.example/Bitcoin".parse()?,
        unit: coinfuse_directory::MintUnit::Sat,
        issuer: false,
    });
    body.source = source;
    Ok(body.sign(&identity)?)
}

async fn relay(
    number: u32,
    bootstrap: &[PeerAddress],
    cache_file: Option<&Path>,
) -> Outcome<Discovery> {
    let mut config = DiscoveryConfig::relay(seed(number, 4), seed(number, 5));
    config.listen = vec!["127.0.0.1:0".parse()?];
    config.bootstrap = bootstrap.to_vec();
    config.private_addresses = true;
    config.cache_file = cache_file.map(Path::to_owned);
    let relay = Discovery::start(config).await?;
    relay.publish(descriptor(number, relay.offer())?).await?;
    Ok(relay)
}

async fn client(bootstrap: &Discovery) -> Outcome<Discovery> {
    let mut config = DiscoveryConfig::client(seed(0, 6));
    config.bootstrap = bootstrap.addresses().to_vec();
    config.private_addresses = true;
    Ok(Discovery::start(config).await?)
}

/// Waits until so many relays are known; says how long it took.
async fn until(node: &Discovery, count: usize) -> Outcome<Duration> {
    let started = tokio::time::Instant::now();
    let mut directory = node.directory();
    directory.wait_for(|known| known.len() >= count).await?;
    Ok(started.elapsed())
}

async fn many_relays(count: u32) -> Outcome<()> {
    let started = tokio::time::Instant::now();
    let first = relay(0, &[], None).await?;
    let mut relays = vec![first.clone()];
    for number in 1..count {
        relays.push(relay(number, first.addresses(), None).await?);
    }
    for node in &relays {
        until(node, relays.len()).await?;
    }
    println!(
        "{count} relays know each other after {:.1?}",
        started.elapsed()
    );
    let client = client(&first).await?;
    let most = until(&client, relays.len() * 95 / 100).await?;
    println!("a new client knows 95 % of them after {most:.1?}");
    Ok(())
}

async fn large_directory(count: u32, folder: &Path) -> Outcome<()> {
    let mut directory = Directory::new();
    for number in 1..=count {
        directory.insert(descriptor(number, None)?)?;
    }
    let file = folder.join("directory");
    let bytes = Snapshot::of(&directory).to_bytes();
    std::fs::write(&file, &bytes)?;
    println!("{count} descriptors are {} KB", bytes.len() / 1000);
    let started = tokio::time::Instant::now();
    let relay = relay(0, &[], Some(&file)).await?;
    println!(
        "a relay has read and checked them after {:.1?}",
        started.elapsed()
    );
    let client = client(&relay).await?;
    let all = until(&client, directory.len()).await?;
    println!("a new client has fetched and checked them after {all:.1?}");
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse());
    let relays = numbers.next().transpose()?.unwrap_or(20);
    let descriptors = numbers.next().transpose()?.unwrap_or(1000);
    many_relays(relays).await?;
    let folder = tempfile::tempdir()?;
    large_directory(descriptors, folder.path()).await
}
