//! What it costs a client to stay up to date, in the bytes of the real messages.

use crate::seeds::Numbers;
use crate::world::{NOW, World};
use coinfuse_directory::sync::{Answer, Cursor, Difference, Journal, Request, Row, Summary};
use coinfuse_directory::{Descriptor, Directory, Inserted};
use coinfuse_wire::{Decode, Encode};
use core::ops::AddAssign;
use std::sync::Arc;

/// How often a relay publishes anew in a day: before it expires, and as its load changes.
const CHANGES_PER_DAY: u64 = 8;
const MIB: f64 = (1 << 20) as f64;
const KIB: f64 = 1024.0;

/// What a client of the network does: asks every 15 s what changed at one of its sources, and at every
/// 16th time compares all with the next one.
const SOURCES: usize = 6;
const PAUSE: u64 = 15;
const FULL: u64 = 16;
const SECONDS: u64 = 3600;

pub(crate) fn run(world: &World) {
    println!("## Staying up to date\n\nEach relay publishes {CHANGES_PER_DAY} times a day.\n");
    let mut numbers = Numbers::new(11);
    rarely(world, &mut numbers);
    let news = News::draw(world, &mut numbers);
    println!(
        "| bytes a minute | changes | comparing | descriptors | in all |\n|---|---|---|---|---|"
    );
    for (what, full) in [("comparing each time", 1), ("following", FULL)] {
        let Cost {
            changes,
            compared,
            fetched,
        } = news.keep_up(world, full);
        let all = [changes, compared, fetched, changes + compared + fetched];
        let minutes = (SECONDS / 60) as f64;
        let [changes, compared, fetched, all] = all.map(|bytes| bytes as f64 / minutes / KIB);
        println!("| {what} | {changes:.1} | {compared:.1} | {fetched:.1} | {all:.1} KiB |");
    }
    println!();
}

/// What it costs to ask one source now and then.
fn rarely(world: &World, numbers: &mut Numbers) {
    println!("| a client asks | comparing | a day | following | a day |\n|---|---|---|---|---|");
    let source = Source::new(world);
    let mut client = Client::default();
    client.compare(&source);
    let first = client.cost.all();
    println!(
        "| for the first time | {:.1} MiB | | | |",
        first as f64 / MIB
    );
    for minutes in [1, 5, 15, 60] {
        let (known, mut newer) = (source.clone(), source.clone());
        for nth in 0..changes_in(world, minutes * 60) {
            newer.take(republished(world, nth, numbers));
        }
        let [compared, followed] = [false, true].map(|follows| {
            let mut client = Client::knowing(&known);
            match follows {
                true => drop(client.follow(&newer, known.journal.cursor())),
                false => client.compare(&newer),
            }
            client.cost.all() as f64
        });
        let day = (24 * 60 / minutes) as f64;
        println!(
            "| every {minutes} min | {:.0} KiB | {:.0} MiB | {:.0} KiB | {:.0} MiB |",
            compared / KIB,
            compared * day / MIB,
            followed / KIB,
            followed * day / MIB
        );
    }
    println!();
}

fn changes_in(world: &World, seconds: u64) -> u64 {
    world.relays.len() as u64 * CHANGES_PER_DAY * seconds / (24 * 3600)
}

/// Some relay's next descriptor, the `nth` of all.
fn republished(world: &World, nth: u64, numbers: &mut Numbers) -> Arc<Descriptor> {
    let relay = &world.relays[numbers.below(world.relays.len() as u64) as usize];
    let mut body = relay.body.clone();
    body.sequence += 1000 + nth;
    Arc::new(body.sign(&relay.identity).expect("in bounds"))
}

/// Which source hears of which change, and in which second, in that order.
struct News(Vec<(u64, usize, Arc<Descriptor>)>);

impl News {
    fn draw(world: &World, numbers: &mut Numbers) -> Self {
        let mut heard = Vec::new();
        for nth in 0..changes_in(world, SECONDS) {
            let second = numbers.below(SECONDS);
            let descriptor = republished(world, nth, numbers);
            for source in 0..SOURCES {
                // Passed on it is there in seconds; one of fifty hears of it only by comparing.
                let most = if numbers.below(50) == 0 { PAUSE } else { 4 };
                let when = second + 1 + numbers.below(most);
                heard.push((when, source, Arc::clone(&descriptor)));
            }
        }
        heard.sort_by_key(|(when, ..)| *when);
        Self(heard)
    }

    /// What a client pays that compares all at every `full`th time, and else follows.
    fn keep_up(&self, world: &World, full: u64) -> Cost {
        let mut sources = vec![Source::new(world); SOURCES];
        let mut client = Client::knowing(&sources[0]);
        let (mut followed, mut cursor) = (0, sources[0].journal.cursor());
        let mut news = self.0.iter().peekable();
        for time in 1..=SECONDS / PAUSE {
            while let Some((_, source, one)) = news.next_if(|(when, ..)| *when <= time * PAUSE) {
                sources[*source].take(Arc::clone(one));
            }
            if full > 1 {
                cursor = client.follow(&sources[followed], cursor);
            }
            if time % full == 0 {
                followed = (followed + 1) % SOURCES;
                if full > 1 {
                    cursor = client.ask_where(&sources[followed]);
                }
                client.compare(&sources[followed]);
            }
        }
        client.cost
    }
}

#[derive(Clone)]
struct Source {
    directory: Directory,
    journal: Journal,
}

impl Source {
    fn new(world: &World) -> Self {
        let mut journal = Journal::new(1);
        for known in world.directory.iter() {
            journal.came(Row::of(known));
        }
        Self {
            directory: world.directory.clone(),
            journal,
        }
    }

    fn take(&mut self, descriptor: Arc<Descriptor>) {
        let row = Row::of(&descriptor);
        let inserted = self.directory.insert(descriptor);
        if inserted.expect("there is room") != Inserted::Unchanged {
            self.journal.came(row);
        }
    }

    fn answer(&self, request: &Request) -> Answer {
        match request {
            Request::Changes(since) => Answer::Changes(self.journal.since(*since)),
            other => self.directory.answer(other).expect("not a publication"),
        }
    }
}

/// Bytes to and fro.
#[derive(Default)]
struct Cost {
    changes: usize,
    compared: usize,
    fetched: usize,
}

impl Cost {
    fn all(&self) -> usize {
        self.changes + self.compared + self.fetched
    }
}

#[derive(Default)]
struct Client {
    known: Directory,
    cost: Cost,
}

impl Client {
    fn knowing(source: &Source) -> Self {
        Self {
            known: source.directory.clone(),
            cost: Cost::default(),
        }
    }

    fn ask(&mut self, source: &Source, request: Request) -> Answer {
        let answer = source.answer(&request).to_bytes();
        let cost = match request {
            Request::Changes(_) => &mut self.cost.changes,
            Request::Descriptors(_) => &mut self.cost.fetched,
            _ => &mut self.cost.compared,
        };
        cost.add_assign(request.to_bytes().len() + answer.len());
        Answer::from_bytes(&answer).expect("one of ours")
    }

    fn ask_where(&mut self, source: &Source) -> Cursor {
        match self.ask(source, Request::Changes(None)) {
            Answer::Changes(changes) => changes.next,
            other => panic!("{other:?}"),
        }
    }

    /// Takes what changed since.
    fn follow(&mut self, source: &Source, since: Cursor) -> Cursor {
        let Answer::Changes(changes) = self.ask(source, Request::Changes(Some(since))) else {
            panic!("not changes");
        };
        match changes.rows {
            Some(rows) => self.fetch(source, &rows),
            None => self.compare(source),
        }
        changes.next
    }

    /// Takes all that differs.
    fn compare(&mut self, source: &Source) {
        let Answer::Summary(summary) = self.ask(source, Request::Summary) else {
            panic!("not a summary");
        };
        let differing = Summary::of(&self.known).differing(&summary);
        if differing.is_empty() {
            return;
        }
        let Answer::Listings(listings) = self.ask(source, Request::Listings(differing)) else {
            panic!("not listings");
        };
        let rows = Difference::between(&self.known, &listings).fetch;
        self.fetch(source, &rows);
    }

    fn fetch(&mut self, source: &Source, rows: &[Row]) {
        for rows in rows.chunks(Request::MAX_IDS) {
            let ids = rows.iter().map(|row| row.relay).collect();
            let Answer::Descriptors(found) = self.ask(source, Request::Descriptors(ids)) else {
                panic!("not descriptors");
            };
            let read = found.iter().map(|raw| raw.read().expect("one of ours"));
            let verified = read.map(|one| one.verify(NOW).expect("one of ours"));
            self.known.extend(verified);
        }
    }
}
