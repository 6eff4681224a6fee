//! Clients that know enough relays to follow what changes.

use crate::stranger::Stranger;
use crate::town::{Town, descriptor, eventually, known, until};
use coinfuse_directory::sync::{Answer, Changes, Cursor, Journal, Request, Row};
use coinfuse_directory::{Descriptor, Directory, Load, Standing};
use coinfuse_discovery::{Discovery, PeerAddress};
use coinfuse_wire::{Decode, Encode};
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard};

const RELAYS: u16 = 600;

/// What some strangers know, and what they were asked.
struct Library {
    directory: Directory,
    journal: Journal,
    asked: Vec<(Request, usize)>,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Library>>);

impl Shared {
    fn new(relays: impl IntoIterator<Item = Descriptor>) -> Self {
        let shared = Self(Arc::new(Mutex::new(Library {
            directory: Directory::new(),
            journal: Journal::new(1),
            asked: Vec::new(),
        })));
        relays.into_iter().for_each(|one| shared.publish(one));
        shared
    }

    fn of(town: &Town, numbers: core::ops::Range<u16>) -> Self {
        Self::new(numbers.map(|number| descriptor(number, town.time.now(), |_| {})))
    }

    fn lock(&self) -> MutexGuard<'_, Library> {
        self.0.lock().unwrap()
    }

    fn publish(&self, descriptor: Descriptor) {
        let mut library = self.lock();
        library.journal.came(Row::of(&descriptor));
        library.directory.insert(descriptor).unwrap();
    }

    fn start_again(&self) {
        let mut library = self.lock();
        let mut journal = Journal::new(2);
        let rows = library.directory.iter().map(|one| Row::of(one));
        rows.for_each(|row| journal.came(row));
        library.journal = journal;
    }

    /// What was asked since this was asked last, and the bytes of question and answer.
    fn asked(&self) -> Vec<(Request, usize)> {
        core::mem::take(&mut self.lock().asked)
    }

    fn answer(&self, request: &Request) -> Answer {
        let library = self.lock();
        match request {
            Request::Changes(since) => Answer::Changes(library.journal.since(*since)),
            other => library.directory.answer(other).expect("clients only ask"),
        }
    }

    fn answer_and_note(&self, request: Request, answer: &Answer) -> Vec<u8> {
        let bytes = answer.to_bytes();
        let length = request.to_bytes().len() + bytes.len();
        self.lock().asked.push((request, length));
        bytes
    }

    async fn serve(&self) -> PeerAddress {
        let library = self.clone();
        let serving = Stranger::new().serve(move |request| {
            let answer = library.answer(&request);
            library.answer_and_note(request, &answer)
        });
        serving.await
    }

    /// Waits until a client only follows.
    async fn until_followed(&self) {
        eventually(async || {
            let asked = &mut self.lock().asked;
            let last = asked.rchunks_exact(5).next()?;
            let follows = last.iter().all(|(request, _)| is_followed(request));
            follows.then(|| asked.clear())
        })
        .await;
    }
}

fn is_followed(request: &Request) -> bool {
    matches!(request, Request::Changes(Some(_)))
}

/// A client that compares all so many times more seldom than it asks.
async fn client(town: &Town, sources: &[PeerAddress], compare: Duration, seldom: u32) -> Discovery {
    let starting = town.client_with(sources, |config| {
        config.timing.compare = compare;
        config.timing.full = compare * seldom;
        config.audit.grace = Duration::from_millis(300);
    });
    starting.await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knows_all_pays_for_what_changes_and_compares_again_after_a_restart() {
    let town = Town::new();
    let library = Shared::of(&town, 0..RELAYS);
    let mut sources = Vec::new();
    for _ in 0..3 {
        sources.push(library.serve().await);
    }
    let client = client(&town, &sources, Duration::from_millis(400), 1000).await;
    until(&client, |directory| directory.len() == usize::from(RELAYS)).await;
    library.until_followed().await;

    let newer = descriptor(7, town.time.now(), |body| body.sequence += 1);
    let (id, sequence) = (newer.relay, newer.sequence);
    library.publish(newer);
    let is_newer = |directory: &Directory| directory.get(&id).unwrap().sequence == sequence;
    until(&client, is_newer).await;
    let asked = library.asked();
    let only = Request::Descriptors([id].into());
    let (fetches, changes): (Vec<_>, Vec<_>) =
        asked.into_iter().partition(|(request, _)| *request == only);
    assert!(changes.iter().all(|(request, _)| is_followed(request)));
    assert_eq!(fetches.len(), 1);
    // A row more than nothing new, and the descriptor.
    let most = changes.iter().map(|(_, bytes)| *bytes).max();
    assert_eq!(most, Some(18 + 2 + 16 + 1 + 48));
    assert!(fetches[0].1 < 500, "{fetches:?}");

    // Nobody can tell what changed while the source started again.
    library.start_again();
    library.publish(descriptor(RELAYS, town.time.now(), |_| {}));
    until(&client, |directory| directory.len() > usize::from(RELAYS)).await;
    let asked = library.asked();
    let summaries = asked.iter().filter(|(one, _)| *one == Request::Summary);
    assert_eq!(summaries.count(), 1);
    library.until_followed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_tells_what_came_in() {
    let town = Town::new();
    let relay = town.relay(0, &[]).await;
    let mut stranger = Stranger::new();
    let mut ask = async |since| {
        let question = Request::Changes(since).to_bytes();
        let answer = stranger.ask(&relay.address(), question).await.unwrap();
        match Answer::from_bytes(&answer) {
            Ok(Answer::Changes(changes)) => changes,
            other => panic!("{other:?}"),
        }
    };
    let Changes { next, rows } = ask(None).await;
    assert_eq!((next.number, rows), (1, None));
    until(&relay.node, |directory| directory.len() == 1).await;
    relay.publish(|body| body.load = Some(Load::High)).await;
    let has_load = |directory: &Directory| directory.iter().all(|one| one.load.is_some());
    until(&relay.node, has_load).await;
    let told = ask(Some(next)).await;
    let now = known(&relay.node);
    assert_eq!(
        told.rows,
        Some(vec![Row::of(now.get(&relay.id()).unwrap())])
    );
    assert_eq!(ask(Some(told.next)).await.rows, Some(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_tells_changes_that_it_does_not_have_is_asked_for_them_once() {
    let town = Town::new();
    let library = Shared::of(&town, 0..RELAYS);
    let notes = Shared::new([]);
    let (honest, noted) = (library.clone(), notes.clone());
    let liar = Stranger::new()
        .serve(move |request| {
            let answer = match &request {
                Request::Changes(Some(since)) => nonsense(*since),
                other => honest.answer(other),
            };
            noted.answer_and_note(request, &answer)
        })
        .await;
    let sources = [library.serve().await, liar, library.serve().await];
    let client = client(&town, &sources, Duration::from_millis(50), 10).await;
    until(&client, |directory| directory.len() == usize::from(RELAYS)).await;

    let mut asked = Vec::new();
    eventually(async || {
        asked.append(&mut notes.asked());
        let lies = asked.iter().filter(|(request, _)| is_followed(request));
        (lies.count() >= 6).then_some(())
    })
    .await;
    // After a lie come the questions for what it told, and then it has to list all again.
    let parts: Vec<_> = asked.split(|(request, _)| is_followed(request)).collect();
    for between in &parts[1..parts.len() - 1] {
        let is_fetch = |asked: &&(Request, usize)| matches!(asked.0, Request::Descriptors(_));
        let fetches = between.iter().take_while(is_fetch).count();
        assert!((1..=Changes::MAX_ROWS / Request::MAX_IDS).contains(&fetches));
        let listed = between
            .iter()
            .any(|(request, _)| *request == Request::Summary);
        assert!(listed, "{between:?}");
    }

    let news = descriptor(RELAYS, town.time.now(), |_| {});
    library.publish(news);
    until(&client, |directory| directory.len() > usize::from(RELAYS)).await;
}

/// As many changes as can be told, of relays that there are not.
fn nonsense(since: Cursor) -> Answer {
    let most = Changes::MAX_ROWS as u64;
    let town = Town::new();
    let like = Row::of(&descriptor(0, town.time.now(), |_| {}));
    let row = |number: u64| {
        let mut relay = [0xee; 32];
        relay[..8].copy_from_slice(&number.to_be_bytes());
        let relay = coinfuse_wire::RelayId::new(relay);
        Row { relay, ..like }
    };
    Answer::Changes(Changes {
        next: Cursor {
            number: since.number + most,
            ..since
        },
        rows: Some((since.number..since.number + most).map(row).collect()),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hides_is_found_out_by_who_follows_and_keeps_no_news_from_him() {
    let town = Town::new();
    let (all, some) = (
        Shared::of(&town, 0..RELAYS),
        Shared::of(&town, 0..RELAYS / 2),
    );
    let hider = some.serve().await;
    let sources = [hider, all.serve().await, all.serve().await];
    let client = client(&town, &sources, Duration::from_millis(100), 3).await;
    until(&client, |directory| directory.len() == usize::from(RELAYS)).await;

    all.publish(descriptor(RELAYS, town.time.now(), |_| {}));
    until(&client, |directory| directory.len() > usize::from(RELAYS)).await;
    eventually(async || {
        let status = client.status().await.unwrap();
        let found = status.sources.iter().find(|one| one.peer == hider.key);
        (found.map(|one| one.standing) == Some(Standing::Bad)).then_some(())
    })
    .await;
    let status = client.status().await.unwrap();
    let good = status
        .sources
        .iter()
        .filter(|one| one.standing == Standing::Good);
    assert_eq!(
        (good.count(), known(&client).len()),
        (2, usize::from(RELAYS) + 1)
    );
}
