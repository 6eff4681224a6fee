//! Nodes that all behave.

use crate::stranger::Stranger;
use crate::town::{PATIENCE, Town, eventually, find_elsewhere, forgetful, identity, known, until};
use coinfuse_directory::sync::Answer;
use coinfuse_directory::{
    Descriptor, DescriptorBody, ExitPolicy, LinkKey, Load, OnionKey, Price, RelayKeys, VoucherKey,
};
use coinfuse_discovery::{Discovery, DiscoveryConfig, PublishError, StartError};
use coinfuse_wire::{Encode, Rate, ServiceCode};
use core::time::Duration;
use std::net::TcpListener;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_client_learns_the_network_from_one_address() {
    let town = Town::new();
    let relays = town.relays(40).await;
    let client = town.client(&[relays[0].address()]).await;
    let took = until(&client, |directory| directory.len() >= 38).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    until(&client, |directory| directory.len() == 40).await;

    // It asked more than the one that it was told of, and nobody knows it.
    eventually(async || {
        let status = client.status().await.unwrap();
        let heard = status.sources.iter().filter(|one| one.heard.is_some());
        (heard.count() >= 3).then_some(())
    })
    .await;
    assert!(client.addresses().is_empty() && client.offer().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_relay_changes_is_seen_by_all() {
    let town = Town::new();
    let relays = town.relays(8).await;
    let client = town.client(&[relays[0].address()]).await;
    until(&client, |directory| directory.len() == 8).await;

    let price = Price {
        up: Rate::from_msat_per_mib(7),
        down: Rate::from_msat_per_mib(9),
    };
    // The other point with that x.
    let mut voucher = [0x02; 33];
    voucher[0] = 0x03;
    let keys = RelayKeys {
        link: LinkKey::new([0x33; 32]),
        onion: OnionKey::new([0x44; 32]),
        voucher: VoucherKey::new(voucher),
    };
    let exit_policy: ExitPolicy = "accept *:443".parse().unwrap();
    let changing = &relays[5];
    let id = changing.id();
    let all_see = async |change: &dyn Fn(&mut DescriptorBody),
                         seen: &dyn Fn(&Descriptor) -> bool| {
        changing.publish(change).await;
        for node in relays.iter().map(|relay| &relay.node).chain([&client]) {
            until(node, |directory| {
                directory.get(&id).is_some_and(|one| seen(one))
            })
            .await;
        }
    };
    all_see(&|body| body.price = price, &|one| one.price == price).await;
    let load = Some(Load::High);
    all_see(&|body| body.load = load, &|one| one.load == load).await;
    all_see(&|body| body.keys = keys, &|one| one.keys == keys).await;
    all_see(&|body| body.exit_policy = exit_policy.clone(), &|one| {
        one.exit_policy == exit_policy
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_vanishes_leaves_when_his_descriptor_expires() {
    let town = Town::new();
    let mut relays = town.relays(6).await;
    let client = town.client(&[relays[0].address()]).await;
    until(&client, |directory| directory.len() == 6).await;

    let gone = relays.pop().unwrap().id();
    town.time.pass(Duration::from_secs(20 * 3600));
    for relay in &relays {
        relay.publish(|_| {}).await;
    }
    let is_new = |directory: &coinfuse_directory::Directory| {
        let now = town.time.now();
        directory.iter().filter(|one| one.published == now).count() == 5
    };
    until(&client, is_new).await;
    assert!(known(&client).get(&gone).is_some());
    town.time.pass(Duration::from_secs(5 * 3600));
    for node in relays.iter().map(|relay| &relay.node).chain([&client]) {
        until(node, |directory| {
            directory.len() == 5 && directory.get(&gone).is_none()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_starts_with_what_it_knew_and_needs_no_bootstrap_peer_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("directory");
    let town = Town::new();
    let relays = town.relays(6).await;
    let client = town
        .client_with(&[relays[0].address()], |config| {
            config.cache_file = Some(file.clone());
        })
        .await;
    until(&client, |directory| directory.len() == 6).await;
    client.shutdown().await;

    let again = town
        .client_with(&[], |config| config.cache_file = Some(file.clone()))
        .await;
    assert_eq!(known(&again).len(), 6);
    let late = town.relay(6, &[relays[3].address()]).await;
    until(&again, |directory| directory.get(&late.id()).is_some()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_could_not_be_written_is_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("later");
    let file = place.join("directory");
    let town = Town::new();
    let relay = town.relay(0, &[]).await;
    let client = town
        .client_with(&[relay.address()], |config| {
            config.cache_file = Some(file.clone());
            config.timing.save = Duration::from_millis(20);
        })
        .await;
    until(&client, |directory| directory.len() == 1).await;
    // It has tried, and failed, when so much time is gone.
    let heard = async || {
        let status = client.status().await.unwrap();
        let heard = status.sources.first()?.heard?;
        (heard > Duration::from_millis(500)).then_some(())
    };
    eventually(heard).await;
    std::fs::create_dir(&place).unwrap();
    eventually(async || file.exists().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_starts_again_is_the_same_peer_at_the_same_address() {
    let town = Town::new();
    let relay = town.relay(0, &[]).await;
    let address = relay.address();
    relay.node.shutdown().await;

    let again = town.relay_at(address.address, 0, &[]).await;
    assert_eq!(again.address(), address);
    again.publish(|_| {}).await;
    let client = town.client(&[address]).await;
    until(&client, |directory| directory.get(&again.id()).is_some()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_of_ten_die_and_the_others_carry_on() {
    let mut town = Town::new();
    town.timing.settle = Duration::from_millis(100);
    town.timing.announce = Duration::from_secs(2);
    let mut relays = town.relays(20).await;
    let client = town.client(&[relays[0].address()]).await;
    until(&client, |directory| directory.len() == 20).await;
    let forgetful = forgetful(&town, &[relays[0].address()], 8).await;
    // Every third, and the one that the client knew first.
    let mut number = 0;
    relays.retain(|_| {
        number += 1;
        number % 3 != 1
    });
    assert_eq!(relays.len(), 13);

    // News reaches the client, though nobody told it who is gone.
    let changing = &relays[4];
    changing.publish(|body| body.load = Some(Load::Full)).await;
    let id = changing.id();
    until(&client, |directory| {
        directory.get(&id).is_some_and(|one| one.load.is_some())
    })
    .await;
    // Lookups find whoever is left, ...
    let elsewhere: Vec<_> = relays
        .iter()
        .filter(|relay| known(&forgetful).get(&relay.id()).is_none())
        .collect();
    assert!(elsewhere.len() >= 5, "{}", elsewhere.len());
    for relay in &elsewhere[..5] {
        let found = find_elsewhere(&forgetful, relay.id()).await;
        assert_eq!(found.relay, relay.id());
    }
    // ... and what one of them offers from now on, since they announce themselves again.
    let offering = elsewhere[0];
    offering
        .publish(|body| {
            body.services.insert(ServiceCode::MEMPOOL);
        })
        .await;
    let wanted = [offering.address().key].into();
    eventually(async || {
        let found = forgetful.providers(ServiceCode::MEMPOOL).await.unwrap();
        (found == wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dht_finds_relays_and_who_offers_a_service() {
    let mut town = Town::new();
    town.timing.settle = Duration::from_millis(100);
    town.timing.announce = Duration::from_secs(2);
    let relays = town.relays(10).await;
    for relay in &relays[3..5] {
        relay
            .publish(|body| {
                body.services.insert(ServiceCode::MEMPOOL);
            })
            .await;
    }
    let client = town.client(&[relays[0].address()]).await;
    until(&client, |directory| {
        directory.offering(ServiceCode::MEMPOOL).count() == 2
    })
    .await;
    let wanted = relays[3..5].iter().map(|relay| relay.address().key);
    let wanted = wanted.collect();
    eventually(async || {
        let found = client.providers(ServiceCode::MEMPOOL).await.unwrap();
        (found == wanted).then_some(())
    })
    .await;

    let forgetful = forgetful(&town, &[relays[0].address()], 4).await;
    let others = relays.iter().map(|relay| relay.id());
    let others = others.filter(|id| known(&forgetful).get(id).is_none());
    for relay in others.collect::<Vec<_>>() {
        assert_eq!(find_elsewhere(&forgetful, relay).await.relay, relay);
    }
    let nobody = identity(999).relay_id();
    assert_eq!(client.look_up(nobody).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_tells_no_address_is_met_at_the_bootstrap_peer() {
    let town = Town::new();
    let first = town.relay(0, &[]).await;
    let second = town.silent_relay(1, &[first.address()]).await;
    let client = eventually(async || {
        // It may come before the other has left word.
        let client = town.client(&[first.address()]).await;
        let status = eventually(async || {
            let status = client.status().await.unwrap();
            (!status.sources.is_empty() && status.relays == 1).then_some(status)
        })
        .await;
        let key = second.address().key;
        let met = status.sources.iter().any(|one| one.peer == key);
        met.then_some(client)
    })
    .await;
    let key = second.address().key;
    eventually(async || {
        let status = client.status().await.unwrap();
        let met = status.sources.iter().find(|one| one.peer == key);
        met.and_then(|met| met.heard)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_later_is_met_too() {
    let mut town = Town::new();
    town.timing.meet = Duration::from_millis(500);
    let first = town.relay(0, &[]).await;
    let client = town.client(&[first.address()]).await;
    until(&client, |directory| directory.len() == 1).await;
    let late = town.silent_relay(1, &[first.address()]).await;
    let key = late.address().key;
    eventually(async || {
        let status = client.status().await.unwrap();
        let met = status.sources.iter().find(|one| one.peer == key);
        met.and_then(|met| met.heard)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_leaves_word_again_and_again() {
    let mut town = Town::new();
    town.timing.meet = Duration::from_millis(500);
    let (left, mut word) = tokio::sync::mpsc::unbounded_channel();
    let point = Stranger::new()
        .tell_registrations(left)
        .serve(|_| Answer::Busy.to_bytes())
        .await;
    let relay = town.silent_relay(0, &[point]).await;
    for _ in 0..3 {
        let registered = tokio::time::timeout(PATIENCE, word.recv()).await;
        assert_eq!(registered.expect("in time"), Some(relay.address().key));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_family_of_addresses_is_enough() {
    let listen_on = async |addresses: &[&str], port: u16| {
        let mut config = DiscoveryConfig::relay([1; 32], [2; 32]);
        let address = |ip: &&str| format!("{ip}:{port}").parse().unwrap();
        config.listen = addresses.iter().map(address).collect();
        config.private_addresses = true;
        let starting = tokio::time::timeout(PATIENCE, Discovery::start(config));
        starting.await.expect("it says in time whether it listens")
    };
    // Taken in both families, whether or not one socket does for both, or there is only one.
    let port_of = |taken: &TcpListener| taken.local_addr().unwrap().port();
    let taken = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"));
    let taken = taken.unwrap();
    let _too = TcpListener::bind(("0.0.0.0", port_of(&taken)));
    let neither = listen_on(&["[::]", "0.0.0.0"], port_of(&taken)).await;
    assert!(matches!(neither, Err(StartError::Listen { .. })));

    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = port_of(&taken);
    let alone = listen_on(&["0.0.0.0"], port).await;
    assert!(matches!(alone, Err(StartError::Listen { .. })));
    // On a machine without IPv6 nothing needs to be in the way.
    let _taken = TcpListener::bind("[::1]:0").is_ok().then_some(taken);
    for both in [["[::]", "0.0.0.0"], ["0.0.0.0", "[::]"]] {
        let node = listen_on(&both, port).await.expect("one is enough");
        assert!(!node.addresses().is_empty());
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_says_what_is_wrong_with_what_it_is_told() {
    let town = Town::new();
    let relay = town.relay(0, &[]).await;
    let other = town.relay(1, &[]).await;
    let refused = async |change: &dyn Fn(&mut DescriptorBody)| {
        let descriptor = crate::town::descriptor(0, town.time.now(), |body| {
            body.source = relay.node.offer();
            body.sequence += 1;
            change(body);
        });
        relay.node.publish(descriptor).await.unwrap_err()
    };
    assert_eq!(
        refused(&|body| body.source = other.node.offer()).await,
        PublishError::OtherPeer
    );
    assert_eq!(
        refused(&|body| body.addresses.clear()).await,
        PublishError::Nowhere
    );
    assert_eq!(
        refused(&|body| body.sequence -= 2).await,
        PublishError::Older
    );

    let client = town.client(&[]).await;
    let descriptor = crate::town::descriptor(2, town.time.now(), |_| {});
    assert_eq!(client.publish(descriptor).await, Err(PublishError::Client));

    let mut nowhere = DiscoveryConfig::relay([1; 32], [2; 32]);
    let started = Discovery::start(nowhere.clone()).await;
    assert!(matches!(started, Err(StartError::NoAddress)));
    let at_home = "127.0.0.1:0".parse().unwrap();
    nowhere.listen = vec![at_home];
    let at_home = Discovery::start(nowhere.clone()).await.unwrap();
    let private = crate::town::descriptor(0, town.time.now(), |body| {
        body.addresses.insert(0, "1.2.3.4:4433".parse().unwrap());
    });
    let address = private.addresses[1];
    assert_eq!(
        at_home.publish(private).await,
        Err(PublishError::Private { address })
    );

    nowhere.listen = vec!["192.0.2.1:0".parse().unwrap()];
    let started = Discovery::start(nowhere).await;
    assert!(matches!(started, Err(StartError::Listen { .. })));
}
