//! Whoever does not get on delays nobody else.

use super::station::{LOOPBACK, RelayPlan, exit_config};
use super::town::{Plan, Town};
use super::traffic::{
    Collector, MIB, download, downloading, echo, hash_of, isolation, open, soon, until, upload,
    uploading,
};
use crate::support::black_hole;
use coinfuse::client::{ClientError, Stream};
use coinfuse::connect::{ConnectError, Isolation};
use coinfuse_delivery::{Attempt, Dial, Exit, ExitFailure, SystemDialer, SystemResolver};
use coinfuse_testkit::{Peer, WebServer};
use coinfuse_wire::ByteCount;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// One stream's window: what a stalled reader can hold.
const WINDOW: u64 = 4 * MIB;

/// Streams that send as fast as they can, and that nobody reads, until they can send no more.
async fn stall(town: &Town, source: &Peer, streams: u64, who: Isolation) -> Vec<Stream> {
    let mut stalled = Vec::new();
    for _ in 0..streams {
        stalled.push(open(&town.client, source.addr(), who).await.unwrap());
    }
    let full = ByteCount::new(streams.min(16) * WINDOW);
    let carried = || {
        let circuits = town.client.circuits();
        circuits.iter().map(|circuit| circuit.hops[0].down).max()
    };
    until("full windows", || carried() >= Some(full)).await;
    stalled
}

#[tokio::test]
async fn a_stalled_reader_delays_neither_its_circuit_nor_another_one() {
    let (web, source) = (WebServer::start().unwrap(), Peer::source().unwrap());
    let town = Plan::hops(3).build().await;
    let _stalled = stall(&town, &source, 1, isolation("a")).await;
    let progress = Default::default();
    for who in ["a", "b"] {
        let download = download(&town.client, web.addr(), 6 * MIB, isolation(who), &progress);
        assert_eq!(soon(who, download).await, hash_of(6 * MIB));
    }
    assert_eq!(town.client.circuits().len(), 2);
}

#[tokio::test]
async fn a_circuit_whose_every_reader_stalls_delays_no_other_circuit() {
    let (web, source) = (WebServer::start().unwrap(), Peer::source().unwrap());
    let mut plan = Plan::hops(2);
    plan.client.top_up = coinfuse_circuit::TopUpPolicy::default();
    let town = plan.build().await;
    let _stalled = stall(&town, &source, 17, isolation("a")).await;
    let progress = Default::default();
    let download = download(&town.client, web.addr(), 4 * MIB, isolation("b"), &progress);
    assert_eq!(soon("the other circuit", download).await, hash_of(4 * MIB));
}

/// Reaches everything but one address, from which no answer ever comes.
struct BlackHole(SocketAddr);

impl Dial for BlackHole {
    fn dial(&self, address: SocketAddr) -> Attempt {
        match address == self.0 {
            true => Box::pin(core::future::pending()),
            false => SystemDialer.dial(address),
        }
    }
}

#[tokio::test]
async fn a_black_holed_target_delays_nobody_and_is_told_to_whoever_asked() {
    let echoing = Peer::echo().unwrap();
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let mut plan = Plan::hops(2);
    plan.client.attempts = 1;
    plan.relays[0] = RelayPlan::exit_by(LOOPBACK, move || {
        let mut config = exit_config(LOOPBACK);
        config.connect_timeout = std::time::Duration::from_secs(3);
        Exit::with_dialer(config, SystemResolver, BlackHole(nowhere))
    });
    let town = plan.build().await;
    let lost: Vec<_> = (0..20)
        .map(|_| {
            let client = town.client.clone();
            tokio::spawn(async move { open(&client, nowhere, Isolation::NONE).await })
        })
        .collect();
    until("the circuit", || town.client.circuits().len() == 1).await;
    for who in [Isolation::NONE, isolation("b")] {
        for _ in 0..20 {
            let echo = echo(&town.client, echoing.addr(), who);
            soon("a stream to elsewhere", echo).await.unwrap();
        }
    }
    assert!(lost.iter().all(|attempt| !attempt.is_finished()));
    for attempt in lost {
        let error = soon("the end of an attempt", attempt).await.unwrap();
        let error = error.unwrap_err();
        assert!(matches!(
            error,
            ClientError::Exit(ExitFailure::ConnectTimeout)
        ));
        assert_eq!(ConnectError::from(&error), ConnectError::TimedOut);
    }
}

#[tokio::test]
async fn a_dead_relay_delays_no_circuit_but_those_that_are_extended_to_it() {
    let echoing = Peer::echo().unwrap();
    let mut plan = Plan::hops(2);
    plan.relays.push(RelayPlan::exit());
    let town = plan.build().await;
    let (_silent, nowhere) = black_hole();
    // Through relay 1 to an exit that is not there.
    let mut dead = super::town::directory([&town.relays[1]]);
    dead.insert(town.relays[2].descriptor_at(nowhere)).unwrap();
    town.client.set_directory(dead);
    let client = town.client.clone();
    let target = echoing.addr();
    let lost = tokio::spawn(async move { echo(&client, target, isolation("lost")).await });
    until("the first hop", || town.relays[1].open_circuits() == 1).await;

    town.choose_among(&[0, 1]);
    for name in ["a", "b", "c"] {
        let echo = echo(&town.client, echoing.addr(), isolation(name));
        soon("another circuit", echo).await.unwrap();
    }
    assert!(!lost.is_finished(), "they waited for the dead relay");
    lost.abort();
}

#[tokio::test]
async fn a_relay_that_stands_still_delays_no_circuit_but_its_own() {
    let web = WebServer::start().unwrap();
    let target = Collector::start().await;
    let mut plan = Plan::hops(2);
    plan.relays.push(RelayPlan::exit());
    let town = plan.build().await;
    let size = 6 * MIB;
    // Both go through relay 1.
    let (slow, fast) = (isolation("slow"), isolation("fast"));
    town.choose_among(&[1, 2]);
    let (down, slow_download) = downloading(&town.client, &web, size, slow);
    let slow_upload = uploading(&town.client, target.address, size, slow);
    until("both under way", || {
        down.load(Relaxed) > 0 && target.received.load(Relaxed) > 0
    })
    .await;
    let frozen = town.relays[2].freeze();

    town.choose_among(&[0, 1]);
    let progress = Arc::default();
    let other = Collector::start().await;
    let (up, down) = soon("the other circuit", async {
        tokio::join!(
            upload(&town.client, other.address, size, fast),
            download(&town.client, web.addr(), size, fast, &progress),
        )
    })
    .await;
    assert_eq!([up, down], [hash_of(size), hash_of(size)]);
    assert!(!slow_download.is_finished() && !slow_upload.is_finished());

    drop(frozen);
    let hashes = soon("the slow circuit", async {
        [slow_upload.await.unwrap(), slow_download.await.unwrap()]
    })
    .await;
    assert_eq!(hashes, [hash_of(size), hash_of(size)]);
}
