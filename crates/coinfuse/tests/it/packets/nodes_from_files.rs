//! Relays from their configuration: what they publish, and the directory file that they follow.

use super::courier::Courier;
use super::packets_that_are_refused::packet;
use crate::network::{soon, until};
use crate::support::{dialler, loopback};
use coinfuse::config::{AcceptedMint, RelayConfig};
use coinfuse::keys::MasterSeed;
use coinfuse::node::{RelayNode, describe};
use coinfuse_directory::{Descriptor, MintUnit};
use coinfuse_onion::{NextHop, OnionKey, Terms, Via};
use coinfuse_wire::Msat;
use std::path::Path;
use std::time::Duration;

fn config(folder: &Path) -> RelayConfig {
    RelayConfig {
        data_dir: folder.join("data"),
        directory: folder.join("directory.txt"),
        listen: loopback(),
        allow_private_neighbours: true,
        ..RelayConfig::default()
    }
}

/// One that works for nothing.
fn free(folder: &Path) -> RelayConfig {
    let mut config = config(folder);
    let packets = &mut config.packets;
    (packets.small_msat, packets.large_msat) = (0, 0);
    (packets.service_msat, packets.delay_msat) = (0, 0);
    config
}

fn seed(byte: u8) -> MasterSeed {
    MasterSeed::new([byte; 32])
}

#[tokio::test]
async fn the_terms_of_the_file_and_a_lasting_key_are_published() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.advertise = vec!["192.0.2.1:4433".parse().unwrap()];
    // Who cannot be paid takes no packets.
    assert_eq!(describe(&config, &seed(1), None).unwrap().packets, None);
    config.accept.push(AcceptedMint {
        url: "https://mint.example".parse().unwrap(),
        unit: MintUnit::Msat,
    });
    config.packets.small_msat = 3;
    config.packets.max_delay_secs = 7;

    let before = describe(&config, &seed(1), None).unwrap().packets.unwrap();
    let node = RelayNode::start(&config, &seed(1), None).await.unwrap();
    let offer = node.descriptor().unwrap().packets.unwrap();
    assert_eq!(offer, before);
    assert_eq!(offer.price.small, Msat::new(3));
    assert_eq!(offer.max_delay, Duration::from_secs(7));
    node.shutdown().await;
    node.relay().ledger().close().await.unwrap();
    drop(node);
    let node = RelayNode::start(&config, &seed(1), None).await.unwrap();
    assert_eq!(node.relay().packet_offer(), Some(offer), "after a restart");
}

/// A packet over `relay` to `next`, free of charge.
fn onward(relay: &Descriptor, next: &Descriptor) -> Vec<u8> {
    let key = relay.packets.unwrap().key;
    packet(Via {
        key: OnionKey::from_bytes(key.as_bytes()).unwrap(),
        next: NextHop::Relay(next.relay),
        terms: Terms::default(),
    })
}

#[tokio::test]
async fn a_relay_passes_packets_on_to_those_that_are_in_its_file_by_now() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let start = async |index: u8| {
        let config = free(folders[usize::from(index)].path());
        RelayNode::start(&config, &seed(index), None).await.unwrap()
    };
    let (first, second) = (start(0).await, start(1).await);
    let (here, there) = (first.descriptor().unwrap(), second.descriptor().unwrap());
    let mut courier = Courier::to(&dialler(), &here).await;
    courier.bring(onward(&here, &there)).await;
    until("the drop", || first.relay().stats().packets.no_route == 1).await;

    let file = folders[0].path().join("directory.txt");
    std::fs::write(file, format!("{there}\n")).unwrap();
    soon("a packet at the second relay", async {
        while second.relay().stats().packets.received == 0 {
            courier.bring(onward(&here, &there)).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
