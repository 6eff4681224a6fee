//! Packets and circuits share a relay and its links, and not each other's troubles.

use super::questions::PRICE;
use super::town::Plan;
use super::traffic::{echo, soon, until};
use crate::packets::Courier;
use crate::support::dialler;
use coinfuse::connect::Isolation;
use coinfuse_directory::Descriptor;
use coinfuse_onion::{Frame, OnionSecret};
use coinfuse_testkit::Peer;
use coinfuse_wire::{Encode, PacketSize};

/// Sends packets that cost the relay a point multiplication each, as fast as it reads them.
async fn flood(relay: Descriptor) {
    let mut courier = Courier::to(&dialler(), &relay).await;
    let mut packet = vec![0; PacketSize::Small.len()];
    let point = OnionSecret::from_seed(&[3; 32]).public_key();
    packet[1..34].copy_from_slice(&point.to_bytes());
    let frames = Frame::Packet(PacketSize::Small, packet)
        .to_bytes()
        .repeat(64);
    while courier.send.write_all(&frames).await.is_ok() {}
}

#[tokio::test]
async fn a_flood_of_packets_stops_no_circuit() {
    let target = Peer::echo().unwrap();
    let mut plan = Plan::hops(1);
    plan.relays[0].packets = Some(PRICE);
    let town = plan.build().await;
    let refused = || town.exit().relay().stats().packets.bad_mac;
    for _ in 0..8 {
        tokio::spawn(flood(town.exit().descriptor()));
    }
    until("the flood", || refused() > 800).await;
    let echoes = async {
        for _ in 0..20 {
            let word = echo(&town.client, target.addr(), Isolation::NONE);
            word.await.unwrap();
        }
    };
    soon("twenty echoes", echoes).await;
    let before = refused();
    until("more of the flood", || refused() > before + 100).await;
}
