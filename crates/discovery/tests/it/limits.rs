//! Some who want everything, and others who get their share.

use crate::stranger::Stranger;
use crate::town::{Relay, Town, descriptor, eventually, identity, offer, until};
use coinfuse_directory::sync::{Answer, RawDescriptor, Request};
use coinfuse_directory::{Descriptor, DescriptorBody, MintOffer, MintUnit, PeerKey, Standing};
use coinfuse_discovery::{DiscoveryConfig, Limits, LookupError, PeerAddress, record_key};
use coinfuse_wire::{Decode, Encode};
use core::net::SocketAddr;
use core::time::Duration;
use futures::FutureExt;
use futures::future::{join_all, select_all};
use std::{io, net, thread};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// An address that nothing listens on.
pub(crate) async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A relay as on the Internet, where addresses count: each of loopback is a subnet.
async fn public_relay(town: &Town, change: impl FnOnce(&mut Limits)) -> Relay {
    let address = free_address().await;
    let as_public = |config: &mut DiscoveryConfig| {
        config.private_addresses = false;
        config.listen = vec![address];
        config.external = vec![address];
        change(&mut config.limits);
    };
    let relay = town.relay_with(0, &[], as_public).await;
    relay
        .publish(|body| body.addresses = vec!["1.2.3.4:4433".parse().unwrap()])
        .await;
    relay
}

/// A connection from another address of this machine, on which nothing is said.
async fn silent_connection(to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

/// A way to this peer on which all come from that other address.
async fn detour(to: PeerAddress) -> PeerAddress {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = silent_connection(to.address).await;
            join([near, far].map(blocking));
        }
    });
    PeerAddress { address, ..to }
}

fn blocking(stream: TcpStream) -> net::TcpStream {
    let stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream
}

/// Passes on what comes, both ways, until one side hangs up.
fn join([near, far]: [net::TcpStream; 2]) {
    let (nearer, farther) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    for (from, to) in [(near, far), (farther, nearer)] {
        thread::spawn(move || {
            let _hung_up = io::copy(&mut &from, &mut &to);
            let _gone = to.shutdown(net::Shutdown::Both);
        });
    }
}

fn who() -> Vec<u8> {
    Request::Who.to_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_connections_of_one_host_keep_nobody_out() {
    let town = Town::new();
    let relay = public_relay(&town, |_| {}).await;
    let to = relay.address().address;
    let silent = join_all((0..128).map(|_| silent_connection(to))).await;
    let client = town.client(&[relay.address()]).await;
    let took = until(&client, |directory| directory.len() == 1).await;
    // A handshake may take 10 s.
    assert!(took < Duration::from_secs(8), "{took:?}");
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_keys_do_not_give_one_host_all_connections() {
    let town = Town::new();
    let relay = public_relay(&town, |limits| {
        limits.incoming = 32;
        limits.incoming_per_subnet = 4;
    })
    .await;
    let elsewhere = detour(relay.address()).await;
    let (mut crowd, mut answered) = (Vec::new(), 0);
    for _ in 0..32 {
        let mut stranger = Stranger::new();
        answered += usize::from(stranger.ask(&elsewhere, who()).await.is_some());
        crowd.push(stranger);
    }
    let client = town.client(&[relay.address()]).await;
    until(&client, |directory| directory.len() == 1).await;
    assert_eq!(answered, 4);
}

/// A descriptor of some 3 KB.
fn long_descriptor(number: u16, town: &Town) -> Descriptor {
    descriptor(number, town.time.now(), |body| {
        body.family = (0..DescriptorBody::MAX_FAMILY as u16)
            .map(|one| identity(5000 + one).relay_id())
            .collect();
        let path = "x".repeat(150);
        body.mints = (0..DescriptorBody::MAX_MINTS)
            .map(|one| MintOffer {
                url: format!("https://mint.example/{path}{one}").parse().unwrap(),
                unit: MintUnit::Sat,
                issuer: false,
            })
            .collect();
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_his_answers_leaves_the_others_theirs() {
    let town = Town::new();
    let change = |config: &mut DiscoveryConfig| config.limits.answers = 6 << 20;
    let relay = town.relay_with(0, &[], change).await;
    let long: Vec<Descriptor> = (100..356)
        .map(|number| long_descriptor(number, &town))
        .collect();
    let mut honest = Stranger::new();
    for part in long.chunks(Request::MAX_PUBLISHED) {
        let raw = part.iter().map(RawDescriptor::from).collect();
        let answer = honest
            .ask(&relay.address(), Request::Publish(raw).to_bytes())
            .await;
        assert_eq!(answer, Some(Answer::Published(64).to_bytes()));
    }

    // 16 answers of 400 KB and more; what two peers may have is less than the total.
    let all = Request::Descriptors(long.iter().map(|one| one.relay).collect()).to_bytes();
    let address = relay.address();
    let slow = || Stranger::that_does_not_read(&address, &all, 8);
    let slow = [slow().await, slow().await];
    let answer = honest.ask(&address, all.clone()).await.unwrap();
    match Answer::from_bytes(&answer) {
        Ok(Answer::Descriptors(found)) => assert_eq!(found.len(), 256),
        other => panic!("{other:?}"),
    }
    assert!(answer.len() * 16 > 6 << 20, "{}", answer.len());
    drop(slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_again_has_asked_what_he_has_asked() {
    let town = Town::new();
    let relay = town.relay(0, &[]).await;
    let address = relay.address();
    let mut stranger = Stranger::new();
    let busy = Some(Answer::Busy.to_bytes());
    while stranger.ask(&address, who()).await != busy {}
    stranger.leave(&address).await;
    let nobody_is_there = async || {
        let peers = relay.node.status().await.unwrap().peers;
        (peers == 0).then_some(())
    };
    eventually(nobody_is_there).await;
    // Some are allowed again by now; not as many as a stranger may ask at once.
    let mut asked = 0;
    while stranger.ask(&address, who()).await != busy {
        asked += 1;
        assert!(asked < 128, "it is a stranger again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_the_dht_without_end_is_disconnected() {
    let town = Town::new();
    let relay = town.relay(0, &[]).await;
    let mut stranger = Stranger::new();
    let mut messages = 0;
    let key = record_key(&identity(7).relay_id());
    while stranger
        .put(&relay.address(), key.clone(), vec![1; 10])
        .await
    {
        messages += 1;
        assert!(messages < 20_000, "it would go on for ever");
    }
    assert!(messages >= 2000, "{messages}");
    let client = town.client(&[relay.address()]).await;
    until(&client, |directory| directory.len() == 1).await;
}

fn forged(descriptor: &Descriptor) -> RawDescriptor {
    let mut bytes = descriptor.as_bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let mut out = coinfuse_wire::Writer::new();
    out.bytes(&bytes);
    RawDescriptor::from_bytes(&out.into_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_forge_are_thrown_out_and_flush_no_bans() {
    let town = Town::new();
    let (one, other) = (
        descriptor(50, town.time.now(), |_| {}),
        descriptor(51, town.time.now(), |_| {}),
    );
    let (false_one, false_other) = (forged(&one), forged(&other));
    let mut directory = coinfuse_directory::Directory::new();
    directory.insert(one).unwrap();
    let forger = Stranger::new()
        .serve(move |request| match request {
            Request::Descriptors(_) => Answer::Descriptors(vec![false_one.clone()]).to_bytes(),
            Request::Publish(_) => Answer::Published(0).to_bytes(),
            other => directory.answer(&other).unwrap_or(Answer::Busy).to_bytes(),
        })
        .await;
    let relay = town.relay(0, &[forger]).await;
    let is_banned = async || {
        let status = relay.node.status().await.unwrap();
        let source = status.sources.iter().find(|one| one.peer == forger.key);
        source.is_some_and(|source| source.standing == Standing::Banned)
    };
    eventually(async || is_banned().await.then_some(())).await;

    let question = Request::Publish(vec![false_other]).to_bytes();
    for _ in 0..40 {
        let mut stranger = Stranger::new();
        stranger.ask(&relay.address(), question.clone()).await;
        stranger.until_alone().await;
    }
    assert!(is_banned().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_lookups_are_refused_by_name() {
    let town = Town::new();
    let relay = town.relay(0, &[]).await;
    // Whoever is asked there does not even shake hands.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = PeerAddress {
        key: PeerKey::new(*identity(77).relay_id().as_bytes()),
        address: silent.local_addr().unwrap(),
    };
    let descriptor = descriptor(7, town.time.now(), |body| {
        body.source = Some(offer(&nobody))
    });
    let question = Request::Publish(vec![(&descriptor).into()]).to_bytes();
    let mut stranger = Stranger::new();
    stranger.ask(&relay.address(), question).await.unwrap();
    until(&relay.node, |directory| directory.len() == 2).await;

    let lookups = (0..65).map(|number| relay.node.look_up(identity(number).relay_id()).boxed());
    let (first, _, _) = select_all(lookups).await;
    assert_eq!(first, Err(LookupError::Busy));
}
