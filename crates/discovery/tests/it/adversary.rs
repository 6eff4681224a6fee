//! Nodes that do not behave.

use crate::stranger::Stranger;
use crate::town::{
    Town, descriptor, eventually, find_elsewhere, forgetful, identity, known, offer, until,
};
use coinfuse_directory::sync::{Answer, RawDescriptor, Request};
use coinfuse_directory::{Descriptor, DescriptorError, Directory, PeerKey, Standing, find_work};
use coinfuse_discovery::{Discovery, PeerAddress, RecordError, check_record, record_key};
use coinfuse_wire::{Decode, DecodeError, Encode};
use core::net::SocketAddr;
use core::num::NonZeroU32;
use core::time::Duration;

async fn standing(node: &Discovery, key: PeerKey) -> Option<Standing> {
    let status = node.status().await.unwrap();
    let source = status.sources.iter().find(|one| one.peer == key);
    source.map(|source| source.standing)
}

fn honest(directory: &Directory, request: &Request) -> Vec<u8> {
    directory
        .answer(request)
        .expect("clients publish nothing")
        .to_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bootstrap_peer_that_names_only_its_friends_is_found_out() {
    let town = Town::new();
    let relays = town.relays(6).await;
    let mut friends = Directory::new();
    friends.extend((100..104).map(|number| descriptor(number, town.time.now(), |_| {})));
    let liar = Stranger::new()
        .serve(move |request| honest(&friends, &request))
        .await;

    let bootstrap = [liar, relays[0].address(), relays[1].address()];
    let client = town
        .client_with(&bootstrap, |config| {
            config.timing.compare = Duration::from_millis(200);
            config.audit.grace = Duration::from_millis(500);
        })
        .await;
    // It learns of everybody, and in time it knows who wanted to keep it from that.
    until(&client, |directory| directory.len() == 10).await;
    eventually(async || {
        let standing = standing(&client, liar.key).await;
        (standing == Some(Standing::Bad)).then_some(())
    })
    .await;
    for relay in &relays[..2] {
        let standing = standing(&client, relay.address().key).await;
        assert_eq!(standing, Some(Standing::Good));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_forges_is_not_asked_again() {
    let town = Town::new();
    let relay = town.relay(0, &[]).await;
    let real = descriptor(50, town.time.now(), |_| {});
    let mut bytes = real.as_bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = RawDescriptor::from_bytes(&prefixed(&bytes)).unwrap();
    let mut directory = Directory::new();
    directory.insert(real).unwrap();
    let (asked, mut questions) = tokio::sync::mpsc::unbounded_channel();
    let forger = Stranger::new()
        .serve(move |request| {
            asked.send(()).unwrap();
            match request {
                Request::Descriptors(_) => Answer::Descriptors(vec![forged.clone()]).to_bytes(),
                other => honest(&directory, &other),
            }
        })
        .await;

    let client = town.client(&[forger, relay.address()]).await;
    until(&client, |directory| directory.get(&relay.id()).is_some()).await;
    for _ in 0..3 {
        questions
            .recv()
            .await
            .expect("summary, listings, descriptors");
    }
    let banned = Some(Standing::Banned);
    eventually(async || (standing(&client, forger.key).await == banned).then_some(())).await;
    assert_eq!(known(&client).len(), 1);
    assert!(questions.is_empty());
}

fn prefixed(descriptor: &[u8]) -> Vec<u8> {
    let mut out = coinfuse_wire::Writer::new();
    out.bytes(descriptor);
    out.into_bytes()
}

/// Records that must not be stored, each with what is wrong with it.
fn bad_records(town: &Town) -> Vec<(Vec<u8>, Vec<u8>, RecordError)> {
    let now = town.time.now();
    let good = descriptor(7, now, |_| {});
    let key = record_key(&good.relay);
    let mut forged = good.as_bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let ago = now.saturating_sub(Duration::from_secs(25 * 3600));
    let old = descriptor(7, ago, |_| {});
    let ahead = now.saturating_add(Duration::from_secs(3600));
    let early = descriptor(7, ahead, |_| {});
    let bytes = |descriptor: &Descriptor| descriptor.as_bytes().to_vec();
    let too_long = DecodeError::TooLarge {
        what: "descriptor",
        got: 5000,
        max: 4096,
    };
    let expired = DescriptorError::Expired {
        expires: old.expires,
        now,
    };
    let from_the_future = DescriptorError::FromTheFuture {
        published: ahead,
        now,
    };
    let others = record_key(&identity(8).relay_id());
    vec![
        (key.clone(), forged, DescriptorError::BadSignature.into()),
        (key.clone(), bytes(&old), expired.into()),
        (key.clone(), bytes(&early), from_the_future.into()),
        (key, vec![1; 5000], too_long.into()),
        (others, bytes(&good), RecordError::WrongKey),
        (b"anything".to_vec(), bytes(&good), RecordError::Key),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dht_stores_what_can_be_believed_and_nothing_else() {
    let town = Town::new();
    let relay = town.relay(0, &[]).await;
    let mut stranger = Stranger::new();
    for (key, value, error) in bad_records(&town) {
        let checked = check_record(&key, &value, town.time.now());
        assert_eq!(checked.unwrap_err(), error);
        stranger.put(&relay.address(), key, value).await;
    }
    // Of two that are good the newer one stays.
    let newer = descriptor(7, town.time.now(), |body| body.sequence += 1);
    let older = descriptor(7, town.time.now(), |_| {});
    let key = record_key(&newer.relay);
    for record in [&newer, &older] {
        let value = record.as_bytes().to_vec();
        assert!(stranger.put(&relay.address(), key.clone(), value).await);
    }
    until(&relay.node, |directory| directory.len() == 2).await;
    let last = descriptor(9, town.time.now(), |_| {});
    let value = last.as_bytes().to_vec();
    stranger
        .put(&relay.address(), record_key(&last.relay), value)
        .await;
    until(&relay.node, |directory| directory.len() == 3).await;
    let stored = known(&relay.node);
    assert_eq!(stored.get(&newer.relay).unwrap().sequence, newer.sequence);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookups_succeed_among_nodes_that_name_only_their_friends() {
    let town = Town::new();
    let relays = town.relays(5).await;
    // As many again are known as relays, are nodes of the DHT, find nothing, and send whoever asks from
    // one to the other.
    let mut friends = Vec::new();
    for number in 100..105 {
        let mut liar = Stranger::new();
        friends.iter().for_each(|friend| liar.befriend(friend));
        let liar = liar.serve(|_| Answer::Busy.to_bytes()).await;
        friends.push(liar);
        let descriptor = descriptor(number, town.time.now(), |body| {
            body.source = Some(offer(&liar));
        });
        publish(&relays[0].address(), [&descriptor]).await;
    }
    until(&relays[1].node, |directory| directory.len() == 10).await;
    let asker = forgetful(&town, &[relays[1].address()], 6).await;
    let knows = |key: PeerKey| {
        let known = known(&asker);
        known
            .iter()
            .any(|one| one.source.as_ref().is_some_and(|source| source.key == key))
    };
    let liars = friends.iter().filter(|friend| knows(friend.key)).count();
    assert!((2..6).contains(&liars), "it begins with both: {liars}");
    let others = relays.iter().map(|relay| relay.id());
    let others: Vec<_> = others
        .filter(|id| known(&asker).get(id).is_none())
        .collect();
    assert!(!others.is_empty());
    for relay in others {
        assert_eq!(find_elsewhere(&asker, relay).await.relay, relay);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_with_work_do_not_take_a_place_that_most_sources_give_to_another() {
    let town = Town::new();
    let relays = town.relays(2).await;
    let subnet = |number: u16| format!("1.2.3.{number}:4433").parse().unwrap();
    let victim = descriptor(50, town.time.now(), |body| {
        body.addresses = vec![subnet(50)]
    });
    publish(&relays[0].address(), [&victim]).await;
    until(&relays[1].node, |directory| directory.len() == 3).await;
    let mut flood = Directory::new();
    flood.extend((100..120).map(|number| worked(&town, number, subnet(number))));
    let liar = Stranger::new()
        .serve(move |request| honest(&flood, &request))
        .await;

    let bootstrap = [liar, relays[0].address(), relays[1].address()];
    let client = town.client(&bootstrap).await;
    // Two relays, and as many in the subnet as have a place there.
    until(&client, |directory| {
        directory.len() == 18 && directory.get(&victim.relay).is_some()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_moves_to_where_there_is_no_room_is_not_shown_any_more() {
    let town = Town::new();
    let relay = town.relay(0, &[]).await;
    let crowd: Vec<Descriptor> = (100..116)
        .map(|number| worked(&town, number, "1.2.3.4:4433".parse().unwrap()))
        .collect();
    publish(&relay.address(), &crowd).await;
    let moving = |sequence, address: &str| {
        descriptor(50, town.time.now(), |body| {
            body.sequence += sequence;
            body.addresses = vec![address.parse().unwrap()];
        })
    };
    let here = moving(0, "5.6.7.8:4433");
    publish(&relay.address(), [&here]).await;
    until(&relay.node, |directory| {
        directory.get(&here.relay).is_some()
    })
    .await;
    publish(&relay.address(), [&moving(1, "1.2.3.4:4433")]).await;
    until(&relay.node, |directory| {
        directory.get(&here.relay).is_none()
    })
    .await;
}

/// A descriptor with some work for its name.
fn worked(town: &Town, number: u16, address: SocketAddr) -> Descriptor {
    descriptor(number, town.time.now(), |body| {
        let tries = NonZeroU32::new(10_000).unwrap();
        body.work = Some(find_work(&body.relay, 0, tries, 5).0);
        body.addresses = vec![address];
    })
}

/// Has somebody tell a relay these.
async fn publish(whom: &PeerAddress, descriptors: impl IntoIterator<Item = &Descriptor>) {
    let raw = descriptors.into_iter().map(RawDescriptor::from).collect();
    let question = Request::Publish(raw).to_bytes();
    let answer = Stranger::new().ask(whom, question).await;
    answer.expect("it is answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_identities_at_one_address_gets_a_few_places() {
    let town = Town::new();
    let relay = town.relay(0, &[]).await;
    let mut stranger = Stranger::new();
    let crowd = |number| {
        descriptor(number, town.time.now(), |body| {
            body.addresses = vec!["1.2.3.4:4433".parse().unwrap()];
        })
    };
    let all: Vec<Descriptor> = (100..300).map(crowd).collect();
    for part in all.chunks(Request::MAX_PUBLISHED) {
        let raw = part.iter().map(RawDescriptor::from).collect();
        let question = Request::Publish(raw).to_bytes();
        stranger
            .ask(&relay.address(), question)
            .await
            .expect("it is answered");
    }
    let late = town.relay(1, &[relay.address()]).await;
    for node in [&relay.node, &late.node] {
        until(node, |directory| directory.get(&late.id()).is_some()).await;
        // 16 of the crowd, and the two relays.
        assert!(known(node).len() <= 18, "{}", known(node).len());
    }
    let status = relay.node.status().await.unwrap();
    assert_eq!((status.relays, status.waiting), (18, 184));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_says_whose_it_is_whoever_else_names_it() {
    let town = Town::new();
    let relay = town.silent_relay(0, &[]).await;
    let mut stranger = Stranger::new();
    let address = relay.address();
    let impostor = descriptor(7, town.time.now(), |body| {
        body.source = Some(offer(&address))
    });
    let question = Request::Publish(vec![(&impostor).into()]).to_bytes();
    let answer = stranger.ask(&address, question).await;
    assert_eq!(answer, Some(Answer::Published(1).to_bytes()));

    let who = Request::Who.to_bytes();
    let nobody = Answer::Relay(None).to_bytes();
    assert_eq!(stranger.ask(&address, who.clone()).await, Some(nobody));
    relay.publish(|_| {}).await;
    let itself = Answer::Relay(Some(relay.id())).to_bytes();
    assert_eq!(stranger.ask(&address, who).await, Some(itself));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_not_answered_and_a_flood_of_questions_is_cut_off() {
    let town = Town::new();
    let relay = town.relay(0, &[]).await;
    let mut stranger = Stranger::new();
    let address = relay.address();
    for nonsense in [vec![], vec![0xff; 100], vec![1; Request::MAX_LEN + 1]] {
        assert_eq!(stranger.ask(&address, nonsense).await, None);
    }
    let ask = Request::Summary.to_bytes();
    let first = stranger.ask(&address, ask.clone()).await.unwrap();
    assert!(matches!(Answer::from_bytes(&first), Ok(Answer::Summary(_))));
    let mut answered = 1;
    while stranger.ask(&address, ask.clone()).await != Some(Answer::Busy.to_bytes()) {
        answered += 1;
        assert!(answered < 3000, "it would answer for ever");
    }
    // Others are served meanwhile.
    let client = town.client(&[address]).await;
    until(&client, |directory| directory.len() == 1).await;
}
