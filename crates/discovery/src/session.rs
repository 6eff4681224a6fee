//! One comparison of our directory with that of another node.

use crate::book::Book;
use coinfuse_directory::sync::{
    Answer, BucketSet, Difference, Listings, RawDescriptor, Request, Row,
};
use coinfuse_directory::{Descriptor, DescriptorError, UnverifiedDescriptor, View};
use coinfuse_wire::{RelayId, UnixTime};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use thiserror::Error;

/// What a source did that no honest one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum SourceFault {
    /// It answered something else than it was asked.
    #[error("answered what was not asked")]
    OtherAnswer,
    /// It gave the descriptor of a relay that was not asked for.
    #[error("gave a descriptor that was not asked for")]
    NotAsked,
    /// It gave an older descriptor than it had listed.
    #[error("listed a newer descriptor than it has")]
    OlderThanListed,
    /// It handed out what its relay never signed.
    #[error("forged a descriptor")]
    Forged,
}

/// Which relays are being asked for, in all sessions together: a session asks first for those that
/// no other is asking for. Only what was asked is in here, so that a source which lists everything and
/// answers slowly keeps no other from answering.
pub(crate) type InFlight = HashSet<RelayId>;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask this.
    Ask(Request),
    /// Have these [checked](check), and tell the session by [`Session::on_checked`].
    Check(Vec<UnverifiedDescriptor>),
    /// All is said.
    Done,
    /// The other side is busy.
    Busy,
}

/// The conversation with one source: summary, listings, descriptors, and what it lacks.
///
/// It says what to ask, is told each answer, and says what follows. The number of questions is
/// bounded, because listings are asked for once.
#[derive(Debug)]
pub(crate) struct Session {
    asked: Request,
    /// Whether to tell the other side what it lacks.
    tells: bool,
    /// What the source says it holds, once it has said so.
    listed: Option<(BucketSet, Listings)>,
    fetch: BTreeMap<RelayId, Row>,
    fetched: usize,
    asked_for: HashMap<RelayId, Row>,
    offer: VecDeque<Arc<Descriptor>>,
}

impl Session {
    /// A session, and its first question. A relay also tells the other side what it lacks.
    pub(crate) fn start(tells: bool) -> (Self, Request) {
        let session = Self {
            asked: Request::Summary,
            tells,
            listed: None,
            fetch: BTreeMap::new(),
            fetched: 0,
            asked_for: HashMap::new(),
            offer: VecDeque::new(),
        };
        (session, Request::Summary)
    }

    /// What follows from an answer.
    pub(crate) fn on_answer(
        &mut self,
        answer: Answer,
        book: &mut Book,
        in_flight: &mut InFlight,
    ) -> Result<Step, SourceFault> {
        if !answer.answers(&self.asked) {
            return Err(SourceFault::OtherAnswer);
        }
        match answer {
            Answer::Summary(theirs) => {
                let differing = book.summary().differing(&theirs);
                self.listed = Some((differing, Listings::default()));
                Ok(match differing.is_empty() {
                    true => Step::Done,
                    false => self.ask(Request::Listings(differing)),
                })
            }
            Answer::Listings(listings) => {
                self.compare(&listings, book);
                if let Some((_, listed)) = &mut self.listed {
                    *listed = listings;
                }
                Ok(self.next(book, in_flight))
            }
            Answer::Descriptors(raw) => self.take(&raw).map(Step::Check),
            Answer::Published(_) => Ok(self.next(book, in_flight)),
            Answer::Busy => Ok(Step::Busy),
            _ => Err(SourceFault::OtherAnswer),
        }
    }

    /// What follows when the descriptors of the last answer were checked, and the good ones were taken
    /// into the book.
    pub(crate) fn on_checked(
        &mut self,
        checked: &Checked,
        book: &Book,
        in_flight: &mut InFlight,
    ) -> Result<Step, SourceFault> {
        let asked_for = core::mem::take(&mut self.asked_for);
        self.fetched += checked.good.len();
        for relay in asked_for.keys() {
            in_flight.remove(relay);
        }
        let older = |descriptor: &Arc<Descriptor>| {
            let listed = asked_for.get(&descriptor.relay);
            listed.is_some_and(|listed| listed.supersedes(&Row::of(descriptor)))
        };
        match checked.good.iter().any(older) {
            _ if checked.forged => Err(SourceFault::Forged),
            true => Err(SourceFault::OlderThanListed),
            false => Ok(self.next(book, in_flight)),
        }
    }

    /// How many descriptors were fetched.
    pub(crate) fn fetched(&self) -> usize {
        self.fetched
    }

    /// What the source listed, held against what is known now; `None` if it did not get that far.
    pub(crate) fn view<'a>(&'a self, book: &'a Book) -> Option<View<'a>> {
        let (differing, listings) = self.listed.as_ref()?;
        Some(View {
            ours: book.directory(),
            differing: *differing,
            listings,
        })
    }

    /// Gives back what was asked for and not answered.
    pub(crate) fn end(self, in_flight: &mut InFlight) {
        for relay in self.asked_for.keys() {
            in_flight.remove(relay);
        }
    }

    fn ask(&mut self, request: Request) -> Step {
        self.asked = request.clone();
        Step::Ask(request)
    }

    fn compare(&mut self, listings: &Listings, book: &Book) {
        let difference = Difference::between(book.directory(), listings);
        let fetch = difference.fetch.into_iter();
        self.fetch = fetch.map(|row| (row.relay, row)).collect();
        if self.tells {
            self.offer = difference.offer.into();
        }
    }

    fn next(&mut self, book: &Book, in_flight: &mut InFlight) -> Step {
        self.fetch.retain(|_, row| book.wants(row));
        if !self.fetch.is_empty() {
            return self.fetch_some(in_flight);
        }
        if !self.offer.is_empty() {
            let most = self.offer.len().min(Request::MAX_PUBLISHED);
            let offered = self.offer.drain(..most);
            let raw = offered.map(|descriptor| RawDescriptor::from(&*descriptor));
            let request = Request::Publish(raw.collect());
            return self.ask(request);
        }
        Step::Done
    }

    /// Asks for some of what is to be fetched: what nobody else is asked for, if there is such.
    fn fetch_some(&mut self, in_flight: &mut InFlight) -> Step {
        let all = || self.fetch.keys().copied();
        let free = all().filter(|relay| !in_flight.contains(relay));
        let mut ids: BTreeSet<RelayId> = free.take(Request::MAX_IDS).collect();
        if ids.is_empty() {
            ids = all().take(Request::MAX_IDS).collect();
        }
        for relay in &ids {
            if let Some(row) = self.fetch.remove(relay) {
                self.asked_for.insert(*relay, row);
            }
            in_flight.insert(*relay);
        }
        self.ask(Request::Descriptors(ids))
    }

    /// Reads descriptors, which have to be what was asked for. What cannot be read is passed over: it
    /// may be of a later version.
    fn take(&self, raw: &[RawDescriptor]) -> Result<Vec<UnverifiedDescriptor>, SourceFault> {
        let read: Vec<_> = raw.iter().filter_map(|raw| raw.read().ok()).collect();
        let asked_for =
            |one: &UnverifiedDescriptor| self.asked_for.contains_key(&one.claimed_relay());
        match read.iter().all(asked_for) {
            true => Ok(read),
            false => Err(SourceFault::NotAsked),
        }
    }
}

/// Descriptors that were looked at.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Those that can be believed.
    pub(crate) good: Vec<Arc<Descriptor>>,
    /// Whether one of the others was never signed by its relay.
    pub(crate) forged: bool,
    /// Those that do not hold now.
    pub(crate) untimely: Untimely,
}

/// How many descriptors were not taken because of their time.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Untimely {
    pub(crate) expired: u64,
    pub(crate) from_the_future: u64,
}

/// Verifies descriptors, some 50 us each.
pub(crate) fn check(descriptors: Vec<UnverifiedDescriptor>, now: UnixTime) -> Checked {
    let mut checked = Checked::default();
    for descriptor in descriptors {
        match descriptor.verify(now) {
            Ok(descriptor) => checked.good.push(Arc::new(descriptor)),
            Err(DescriptorError::BadSignature | DescriptorError::Lifetime { .. }) => {
                checked.forged = true;
            }
            // Clocks differ, and time passes between listing and fetching.
            Err(DescriptorError::Expired { .. }) => checked.untimely.expired += 1,
            Err(DescriptorError::FromTheFuture { .. }) => checked.untimely.from_the_future += 1,
        }
    }
    checked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::BookLimits;
    use crate::samples::{NOW, relay};
    use coinfuse_directory::Directory;

    fn book(numbers: impl IntoIterator<Item = u16>) -> Book {
        let mut book = Book::new(BookLimits {
            relays: 10_000,
            per_subnet: 10_000,
            private: true,
        });
        for number in numbers {
            book.admit(Arc::new(relay(number, |_| {})));
        }
        book
    }

    /// Runs a session against an honest directory; says how many questions it took.
    fn run(ours: &mut Book, theirs: &mut Book, tells: bool) -> usize {
        let mut in_flight = InFlight::new();
        let (mut session, first) = Session::start(tells);
        let mut step = Step::Ask(first);
        for questions in 0.. {
            let request = match step {
                Step::Ask(request) => request,
                Step::Done => {
                    session.end(&mut in_flight);
                    assert!(in_flight.is_empty());
                    return questions;
                }
                other => panic!("{other:?}"),
            };
            let answer = answer(theirs, &request);
            step = session.on_answer(answer, ours, &mut in_flight).unwrap();
            if let Step::Check(unverified) = step {
                let checked = check(unverified, NOW);
                for descriptor in &checked.good {
                    ours.admit(Arc::clone(descriptor));
                }
                step = session.on_checked(&checked, ours, &mut in_flight).unwrap();
            }
        }
        unreachable!()
    }

    fn answer(book: &mut Book, request: &Request) -> Answer {
        let Request::Publish(raw) = request else {
            return book.directory().answer(request).unwrap();
        };
        let read = raw.iter().map(|raw| raw.read().unwrap()).collect();
        let good = check(read, NOW).good;
        let news = good.into_iter().map(|one| book.admit(one).is_news());
        Answer::Published(news.filter(|news| *news).count() as u16)
    }

    #[test]
    fn both_sides_know_the_same_afterwards_if_both_are_relays() {
        let (mut ours, mut theirs) = (book(0..400), book(200..900));
        // Summary, listings, 500 descriptors to fetch in two parts, 200 to tell in four.
        assert_eq!(run(&mut ours, &mut theirs, true), 8);
        assert_eq!(ours.directory().len(), 900);
        assert_eq!(ours.summary(), theirs.summary());
        assert_eq!(run(&mut ours, &mut theirs, true), 1);
    }

    #[test]
    fn a_client_learns_and_tells_nothing() {
        let (mut ours, mut theirs) = (book(0..10), book(5..20));
        run(&mut ours, &mut theirs, false);
        assert_eq!((ours.directory().len(), theirs.directory().len()), (20, 15));
    }

    /// A session that has listed relay 1 in the descriptor of `listed`, and asked for it.
    fn asking(listed: &Descriptor) -> (Session, Book, InFlight) {
        let (mut ours, mut in_flight) = (book([]), InFlight::new());
        let (mut session, first) = Session::start(false);
        let mut theirs = Directory::new();
        theirs.insert(listed.clone()).unwrap();
        let mut step = Step::Ask(first);
        for _ in 0..2 {
            let Step::Ask(request) = step else {
                panic!("{step:?}");
            };
            let answer = theirs.answer(&request).unwrap();
            step = session
                .on_answer(answer, &mut ours, &mut in_flight)
                .unwrap();
        }
        assert!(matches!(step, Step::Ask(Request::Descriptors(_))));
        (session, ours, in_flight)
    }

    #[test]
    fn a_source_that_hands_out_something_else_is_at_fault() {
        let newer = relay(1, |body| body.sequence += 1);
        let descriptors = |all: &[&Descriptor]| {
            Answer::Descriptors(all.iter().map(|one| RawDescriptor::from(*one)).collect())
        };

        let (mut session, mut ours, mut in_flight) = asking(&newer);
        let other = descriptors(&[&relay(2, |_| {})]);
        let step = session.on_answer(other, &mut ours, &mut in_flight);
        assert_eq!(step, Err(SourceFault::NotAsked));
        let summary = Answer::Summary(ours.summary());
        let step = session.on_answer(summary, &mut ours, &mut in_flight);
        assert_eq!(step, Err(SourceFault::OtherAnswer));

        let older = descriptors(&[&relay(1, |_| {})]);
        let step = session.on_answer(older, &mut ours, &mut in_flight);
        let Ok(Step::Check(unverified)) = step else {
            panic!("{step:?}");
        };
        let checked = check(unverified, NOW);
        let step = session.on_checked(&checked, &ours, &mut in_flight);
        assert_eq!(step, Err(SourceFault::OlderThanListed));
    }

    #[test]
    fn a_forgery_is_told_from_what_is_merely_late() {
        let good = relay(1, |_| {});
        let mut bytes = good.as_bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        let read = |bytes: &[u8]| vec![UnverifiedDescriptor::from_bytes(bytes).unwrap()];
        assert!(check(read(&bytes), NOW).forged);
        let late = good.expires;
        let checked = check(read(good.as_bytes()), late);
        assert!(checked.good.is_empty() && !checked.forged);
        assert_eq!(checked.untimely.expired, 1);
    }

    #[test]
    fn two_sessions_ask_for_different_relays_while_there_are_such() {
        let (mut ours, mut in_flight) = (book([]), InFlight::new());
        let theirs = book(0..600);
        let mut asked = Vec::new();
        let mut sessions = Vec::new();
        for _ in 0..4 {
            let (mut session, first) = Session::start(false);
            let mut step = Step::Ask(first);
            while let Step::Ask(request) = step {
                let Some(answer) = theirs.directory().answer(&request) else {
                    panic!("{request:?}");
                };
                if let Request::Descriptors(ids) = request {
                    asked.push(ids);
                    break;
                }
                step = session
                    .on_answer(answer, &mut ours, &mut in_flight)
                    .unwrap();
            }
            sessions.push(session);
        }
        // 256, 256 and 88 different ones; then what the first was asked for, should it not answer.
        let together: BTreeSet<&RelayId> = asked[..3].iter().flatten().collect();
        assert_eq!(together.len(), 600);
        assert_eq!(asked[3], asked[0]);
        for session in sessions {
            session.end(&mut in_flight);
        }
        assert!(in_flight.is_empty());
    }
}
