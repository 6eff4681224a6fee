//! What it costs a client to stay up to date, in the bytes of the real messages.

use crate::seeds::Numbers;
use crate::world::{NOW, World};
use coinfuse_directory::Directory;
use coinfuse_directory::sync::{Answer, Difference, Request, Summary};
use coinfuse_wire::{Decode, Encode};

/// How often a relay publishes anew in a day: before it expires, and as its load changes.
const CHANGES_PER_DAY: u64 = 8;
const MIB: f64 = (1 << 20) as f64;

pub(crate) fn run(world: &World) {
    let relays = world.relays.len() as u64;
    println!("## Staying up to date\n\nEach relay publishes {CHANGES_PER_DAY} times a day.\n");
    println!("| a client asks | it gets each time | in a day |\n|---|---|---|");
    let mut known = Directory::with_limit(world.relays.len());
    let first = pull(&mut known, &world.directory);
    println!("| for the first time | {:.1} MiB | |", first as f64 / MIB);
    let mut numbers = Numbers::new(11);
    for minutes in [1, 5, 15, 60] {
        let changed = relays * CHANGES_PER_DAY * minutes / (24 * 60);
        let bytes = after_changes(world, changed, &mut numbers);
        let times = (24 * 60 / minutes) as f64;
        println!(
            "| every {minutes} min | {:.0} KiB | {:.0} MiB |",
            bytes as f64 / 1024.0,
            bytes as f64 * times / MIB
        );
    }
    println!();
}

/// What a client gets that knew all before so many relays published anew.
fn after_changes(world: &World, changed: u64, numbers: &mut Numbers) -> usize {
    let mut known = world.directory.clone();
    let mut newer = world.directory.clone();
    for _ in 0..changed {
        let relay = &world.relays[numbers.below(world.relays.len() as u64) as usize];
        let mut body = relay.body.clone();
        body.sequence += 1000;
        let descriptor = body.sign(&relay.identity).expect("in bounds");
        newer.insert(descriptor).expect("there is room");
    }
    pull(&mut known, &newer)
}

/// Makes `ours` what `theirs` is; says how many bytes went to and fro.
fn pull(ours: &mut Directory, theirs: &Directory) -> usize {
    let mut bytes = 0;
    let mut ask = |request: Request| {
        let answer = theirs
            .answer(&request)
            .expect("not a publication")
            .to_bytes();
        bytes += request.to_bytes().len() + answer.len();
        Answer::from_bytes(&answer).expect("one of ours")
    };
    let Answer::Summary(summary) = ask(Request::Summary) else {
        panic!("not a summary");
    };
    let differing = Summary::of(ours).differing(&summary);
    let Answer::Listings(listings) = ask(Request::Listings(differing)) else {
        panic!("not listings");
    };
    for rows in Difference::between(ours, &listings)
        .fetch
        .chunks(Request::MAX_IDS)
    {
        let ids = rows.iter().map(|row| row.relay).collect();
        let Answer::Descriptors(found) = ask(Request::Descriptors(ids)) else {
            panic!("not descriptors");
        };
        let read = found.iter().map(|raw| raw.read().expect("one of ours"));
        ours.extend(read.map(|one| one.verify(NOW).expect("one of ours")));
    }
    bytes
}
