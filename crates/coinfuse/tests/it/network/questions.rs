//! Towns whose relays take packets, and broadcast transactions to a made-up Bitcoin network.

use super::station::RelayPlan;
use super::town::{MINT_TIMEOUT, PLENTY, Plan, Town, directory};
use coinfuse::client::{AskError, ClientConfig, PacketConfig};
use coinfuse::relay::{MempoolService, PacketStats};
use coinfuse_delivery::mempool::{
    Answer, Broadcaster, Mempool, Network, PeerConfig, Submission, Way,
};
use coinfuse_directory::PacketPrice;
use coinfuse_testkit::BitcoinPeer;
use coinfuse_wire::Msat;
use std::net::SocketAddr;
use std::time::Duration;

/// Every fee is a power of two: 2 msat for a small packet, 8 with the service.
pub(crate) const PRICE: PacketPrice = PacketPrice {
    small: Msat::new(2),
    large: Msat::new(16),
    service: Msat::new(6),
    delay: Msat::new(1),
};

/// What a small packet over two relays and back over one costs.
pub(crate) const SHORT: Msat = Msat::new(2 + 8 + 2);

/// Nobody listens there.
pub(crate) const NOWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// A relay that passes packets on.
pub(crate) fn forwarder() -> RelayPlan {
    RelayPlan {
        packets: Some(PRICE),
        ..RelayPlan::default()
    }
}

/// One that also broadcasts transactions, by way of this peer.
pub(crate) fn broadcaster(peer: SocketAddr) -> RelayPlan {
    let mut config = PeerConfig::new(vec![peer]);
    (config.submit_to, config.observers) = (1, 0);
    config.dial_timeout = Duration::from_secs(2);
    let way = Way::Peers(Broadcaster::new(Network::Regtest, config));
    RelayPlan {
        mempool: Some(MempoolService {
            mempool: Mempool::new(way, 8),
            mean_delay: Duration::ZERO,
        }),
        ..forwarder()
    }
}

/// One relay with the service, the first one, and others. Packets go over two relays and come
/// back over one; nothing is bought ahead, and nothing tried twice.
pub(crate) fn plan(peer: &BitcoinPeer, others: usize) -> Plan {
    let mut relays = vec![broadcaster(peer.addr())];
    relays.extend((0..others).map(|_| forwarder()));
    let mut client = ClientConfig::default();
    client.packets = short();
    Plan {
        relays,
        client,
        funds: PLENTY,
        mint_timeout: MINT_TIMEOUT,
    }
}

fn short() -> PacketConfig {
    let mut packets = PacketConfig::default();
    (packets.hops, packets.hops_back) = (2, 1);
    (packets.stock, packets.attempts) = (0, 1);
    packets.answer_timeout = Duration::from_secs(20);
    packets
}

/// A transaction with so many outputs of 43 bytes.
pub(crate) fn transaction(number: u8, outputs: u8) -> Submission {
    let mut bytes = vec![2, 0, 0, 0, 1];
    bytes.extend([number; 32]);
    bytes.extend([0; 4]);
    bytes.push(0);
    bytes.extend([0xfd, 0xff, 0xff, 0xff]);
    bytes.push(outputs);
    for _ in 0..outputs {
        bytes.extend(10_000u64.to_le_bytes());
        // A taproot output.
        bytes.extend([34, 0x51, 32]);
        bytes.extend([2; 32]);
    }
    bytes.extend([0; 4]);
    Submission::single(&bytes).unwrap()
}

/// Has a small transaction broadcast.
pub(crate) async fn broadcast(town: &Town, number: u8) -> Result<Answer, AskError> {
    town.client.broadcast(&transaction(number, 1)).await
}

/// The same, and it must be accepted.
pub(crate) async fn accepted(town: &Town, peer: &BitcoinPeer, number: u8) {
    let submission = transaction(number, 1);
    let answer = town.client.broadcast(&submission).await;
    match answer {
        Ok(Answer::Accepted(txid)) => assert_eq!(txid, submission.txid()),
        other => panic!("{other:?}"),
    }
    assert!(peer.has(submission.txid()));
}

/// Makes a relay drop what it should pass on: it knows nobody.
pub(crate) fn make_it_drop(town: &Town, relay: usize) {
    town.relays[relay].relay().set_directory(directory([]));
}

pub(crate) fn stats(town: &Town, relay: usize) -> PacketStats {
    town.relays[relay].relay().stats().packets
}

/// What is at the mint for the client, vouchers aside.
pub(crate) async fn balance(town: &Town) -> Msat {
    town.purse.balances().await.into_values().sum()
}

/// All money is somewhere: in the purse, in its vouchers, or at relays, which have what the client
/// has spent.
pub(crate) async fn books_agree(town: &Town, funds: Msat) {
    let (earned, locked) = (town.earned().await, town.purse.locked().await);
    assert_eq!(earned, town.client.spent(), "earned and spent");
    let all = balance(town)
        .await
        .saturating_add(locked)
        .saturating_add(earned);
    assert_eq!(all, funds, "all money");
}
