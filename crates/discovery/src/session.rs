//! One comparison of our directory with that of another node.

use crate::book::Book;
use coinfuse_directory::sync::{
    Answer, BucketSet, Cursor, Difference, Listings, RawDescriptor, Request, Row,
};
use coinfuse_directory::{Descriptor, DescriptorError, Directory, UnverifiedDescriptor, View};
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
    /// It leaves buckets out, or does not come to an end.
    #[error("does not list all that it has")]
    LeftOut,
    /// It listed what it did not give.
    #[error("listed descriptors that it does not give")]
    Withheld,
    /// It has relays for which there is no place, in numbers that no honest source has.
    #[error("has too many relays for which there is no place")]
    Placeless,
    /// It gave an older descriptor than it had listed.
    #[error("listed a newer descriptor than it has")]
    OlderThanListed,
    /// It handed out what its relay never signed.
    #[error("forged a descriptor")]
    Forged,
}

/// The most relays that a source may list, five times what there usually are at most.
const MAX_LISTED: usize = 5 * Directory::DEFAULT_LIMIT;
/// So many descriptors may have left the source's directory between being listed and being asked for;
/// of more, a quarter.
const WITHHELD: usize = 16;
/// For so many relays of one source there may be no place.
const MAX_PLACELESS: usize = 1024;

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

/// The conversation with one source: what changed there, or if it cannot tell that, summary and
/// listings; descriptors; and what it lacks.
///
/// It says what to ask, is told each answer, and says what follows. The number of questions is
/// bounded, because changes and listings are asked for once.
#[derive(Debug)]
pub(crate) struct Session {
    asked: Request,
    /// Whether to tell the other side what it lacks.
    tells: bool,
    /// What the source says it holds, once it has said so.
    listed: Option<(BucketSet, Listings)>,
    /// From where to ask for changes next time.
    cursor: Option<Cursor>,
    /// How many changes the source told that are new.
    told: usize,
    /// The version of the book that the summaries were compared for.
    compared: u64,
    fetch: BTreeMap<RelayId, Row>,
    /// How many descriptors were asked for, how many came, and for how many of those there was no
    /// place.
    asked_count: usize,
    came: usize,
    placeless: usize,
    fetched: usize,
    asked_for: HashMap<RelayId, Row>,
    offer: VecDeque<Arc<Descriptor>>,
}

impl Session {
    /// A session that compares all, and its first question. A relay also tells the other side what it
    /// lacks.
    pub(crate) fn start(tells: bool) -> (Self, Request) {
        Self::open(tells, Request::Summary)
    }

    /// A session that only asks what changed since, if the source can tell; it never can for `None`,
    /// so then this compares all, and knows afterwards from where to go on.
    pub(crate) fn follow(since: Option<Cursor>) -> (Self, Request) {
        Self::open(false, Request::Changes(since))
    }

    fn open(tells: bool, first: Request) -> (Self, Request) {
        let session = Self {
            asked: first.clone(),
            tells,
            listed: None,
            cursor: None,
            told: 0,
            compared: 0,
            fetch: BTreeMap::new(),
            asked_count: 0,
            came: 0,
            placeless: 0,
            fetched: 0,
            asked_for: HashMap::new(),
            offer: VecDeque::new(),
        };
        (session, first)
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
            Answer::Changes(changes) => {
                self.cursor = Some(changes.next);
                match changes.rows {
                    None => Ok(self.ask(Request::Summary)),
                    Some(rows) => {
                        self.hear_changes(rows, book);
                        self.next(book, in_flight)
                    }
                }
            }
            Answer::Summary(theirs) => {
                let differing = book.summary().differing(&theirs);
                self.listed = Some((differing, Listings::default()));
                self.compared = book.version();
                Ok(match differing.is_empty() {
                    true => Step::Done,
                    false => self.ask(Request::Listings(differing)),
                })
            }
            Answer::Listings(listings) => self.hear_listings(listings, book, in_flight),
            Answer::Descriptors(raw) => self.take(&raw).map(Step::Check),
            Answer::Published(_) => self.next(book, in_flight),
            Answer::Busy => Ok(Step::Busy),
            _ => Err(SourceFault::OtherAnswer),
        }
    }

    /// What follows when the descriptors of the last answer were checked, and the good ones were taken
    /// into the book, where there was no place for some.
    pub(crate) fn on_checked(
        &mut self,
        checked: &Checked,
        placeless: usize,
        book: &Book,
        in_flight: &mut InFlight,
    ) -> Result<Step, SourceFault> {
        let asked_for = core::mem::take(&mut self.asked_for);
        let given: HashSet<RelayId> = checked.good.iter().map(|one| one.relay).collect();
        self.placeless += placeless;
        self.fetched += given.len().saturating_sub(placeless);
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
            false if self.placeless > MAX_PLACELESS => Err(SourceFault::Placeless),
            false => self.next(book, in_flight),
        }
    }

    /// How many descriptors were fetched and kept.
    pub(crate) fn fetched(&self) -> usize {
        self.fetched
    }

    /// From where to follow this source. `None` if it does not say, or did not give half of what it
    /// said is new.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.cursor.filter(|_| self.fetched * 2 >= self.told)
    }

    /// What the source listed, held against what is known now; `None` if it did not get that far. Of
    /// buckets that agreed and have changed since, nothing is known.
    pub(crate) fn view<'a>(&'a self, book: &'a Book) -> Option<View<'a>> {
        let (differing, listings) = self.listed.as_ref()?;
        let changed = book.changed_since(self.compared);
        Some(View {
            ours: book.directory(),
            differing: differing.iter().chain(changed.iter()).collect(),
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

    fn hear_changes(&mut self, rows: Vec<Row>, book: &Book) {
        let new = rows.into_iter().filter(|row| book.wants(row));
        self.fetch = new.map(|row| (row.relay, row)).collect();
        self.told = self.fetch.len();
    }

    /// Whole buckets are left out of an answer that would get too long, and are asked for again.
    fn hear_listings(
        &mut self,
        listings: Listings,
        book: &Book,
        in_flight: &mut InFlight,
    ) -> Result<Step, SourceFault> {
        let (differing, listed) = self.listed.as_mut().ok_or(SourceFault::OtherAnswer)?;
        let is_progress = !listings.buckets().is_empty();
        listed.extend(listings);
        if !is_progress || listed.rows().count() > MAX_LISTED {
            return Err(SourceFault::LeftOut);
        }
        let missing = differing.without(&listed.buckets());
        if !missing.is_empty() {
            return Ok(self.ask(Request::Listings(missing)));
        }
        self.compare(book);
        self.next(book, in_flight)
    }

    fn compare(&mut self, book: &Book) {
        let Some((_, listings)) = &self.listed else {
            return;
        };
        let difference = Difference::between(book.directory(), listings);
        let fetch = difference.fetch.into_iter();
        self.fetch = fetch.map(|row| (row.relay, row)).collect();
        if self.tells {
            self.offer = difference.offer.into();
        }
    }

    fn next(&mut self, book: &Book, in_flight: &mut InFlight) -> Result<Step, SourceFault> {
        self.fetch.retain(|_, row| book.wants(row));
        if !self.fetch.is_empty() {
            return Ok(self.fetch_some(in_flight));
        }
        let withheld = self.asked_count.saturating_sub(self.came);
        if withheld > WITHHELD && withheld * 4 > self.asked_count {
            return Err(SourceFault::Withheld);
        }
        if !self.offer.is_empty() {
            let most = self.offer.len().min(Request::MAX_PUBLISHED);
            let offered = self.offer.drain(..most);
            let raw = offered.map(|descriptor| RawDescriptor::from(&*descriptor));
            let request = Request::Publish(raw.collect());
            return Ok(self.ask(request));
        }
        Ok(Step::Done)
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
        self.asked_count += ids.len();
        self.ask(Request::Descriptors(ids))
    }

    /// Reads descriptors, which have to be what was asked for. What cannot be read is passed over: it
    /// may be of a later version.
    fn take(&mut self, raw: &[RawDescriptor]) -> Result<Vec<UnverifiedDescriptor>, SourceFault> {
        let read: Vec<_> = raw.iter().filter_map(|raw| raw.read().ok()).collect();
        let asked_for =
            |one: &UnverifiedDescriptor| self.asked_for.contains_key(&one.claimed_relay());
        let relays: HashSet<_> = read.iter().map(|one| one.claimed_relay()).collect();
        match read.iter().all(asked_for) {
            true => {
                self.came += relays.len() + (raw.len() - read.len());
                Ok(read)
            }
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
    use coinfuse_directory::sync::{Bucket, Changes};

    const LIMITS: BookLimits = BookLimits {
        relays: 10_000,
        per_subnet: 10_000,
        private: true,
    };

    fn book(numbers: impl IntoIterator<Item = u16>) -> Book {
        let mut book = Book::new(LIMITS, 0);
        for number in numbers {
            book.admit(Arc::new(relay(number, |_| {})));
        }
        book
    }

    /// Runs a session against an honest directory; says how many questions it took.
    fn run(ours: &mut Book, theirs: &mut Book, tells: bool) -> usize {
        run_from(Session::start(tells), ours, theirs).0
    }

    /// Asks what changed since; says as well from where to go on.
    fn follow(
        since: Option<Cursor>,
        ours: &mut Book,
        theirs: &mut Book,
    ) -> (usize, Option<Cursor>) {
        run_from(Session::follow(since), ours, theirs)
    }

    fn run_from(
        (mut session, first): (Session, Request),
        ours: &mut Book,
        theirs: &mut Book,
    ) -> (usize, Option<Cursor>) {
        let mut in_flight = InFlight::new();
        let mut step = Step::Ask(first);
        for questions in 0.. {
            let request = match step {
                Step::Ask(request) => request,
                Step::Done => {
                    let cursor = session.cursor();
                    session.end(&mut in_flight);
                    assert!(in_flight.is_empty());
                    return (questions, cursor);
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
                step = session
                    .on_checked(&checked, 0, ours, &mut in_flight)
                    .unwrap();
            }
        }
        unreachable!()
    }

    fn answer(book: &mut Book, request: &Request) -> Answer {
        if let Request::Changes(since) = request {
            return Answer::Changes(book.changes(*since));
        }
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
    fn what_changes_meanwhile_is_not_taken_as_listed() {
        let (mut ours, mut theirs) = (book(0..10), book(0..10));
        let (mut session, _) = Session::start(false);
        let summary = Answer::Summary(theirs.summary());
        let step = session.on_answer(summary, &mut ours, &mut InFlight::new());
        assert_eq!(step, Ok(Step::Done));
        assert!(session.view(&ours).unwrap().differing.is_empty());
        let told_by_another = relay(11, |_| {});
        let bucket = Bucket::of(&told_by_another.relay);
        ours.admit(Arc::new(told_by_another));
        let differing = session.view(&ours).unwrap().differing;
        assert!(differing.iter().eq([bucket]));
    }

    #[test]
    fn a_client_learns_and_tells_nothing() {
        let (mut ours, mut theirs) = (book(0..10), book(5..20));
        run(&mut ours, &mut theirs, false);
        assert_eq!((ours.directory().len(), theirs.directory().len()), (20, 15));
    }

    #[test]
    fn who_compared_once_is_told_only_what_changed_since() {
        let (mut ours, mut theirs) = (book([]), book(0..10));
        // Where to go on, summary, listings, descriptors.
        let (questions, cursor) = follow(None, &mut ours, &mut theirs);
        assert_eq!(questions, 4);
        assert_eq!(follow(cursor, &mut ours, &mut theirs), (1, cursor));
        theirs.admit(Arc::new(relay(3, |body| body.sequence += 1)));
        theirs.admit(Arc::new(relay(10, |_| {})));
        // Changes, descriptors.
        let (questions, next) = follow(cursor, &mut ours, &mut theirs);
        assert_eq!((questions, ours.summary()), (2, theirs.summary()));
        // The source starts again, and has another journal.
        let mut again = Book::new(LIMITS, 1);
        for known in theirs.directory().iter() {
            again.admit(Arc::clone(known));
        }
        again.admit(Arc::new(relay(11, |_| {})));
        let (questions, cursor) = follow(next, &mut ours, &mut again);
        assert_eq!((questions, ours.summary()), (4, again.summary()));
        assert_eq!(cursor.map(|cursor| cursor.run), Some(1));
    }

    #[test]
    fn who_lies_about_changes_is_at_fault_or_not_followed_on() {
        let mut ours = book(0..4);
        let cursor = Cursor { run: 0, number: 4 };
        let rows = |numbers: core::ops::Range<u16>| {
            let row = |number| Row::of(&relay(number, |_| {}));
            Some(numbers.map(row).collect::<Vec<_>>())
        };
        let mut hear = |next: Cursor, rows| {
            let (mut session, _) = Session::follow(Some(cursor));
            let answer = Answer::Changes(Changes { next, rows });
            let mut in_flight = InFlight::new();
            let step = session.on_answer(answer, &mut ours, &mut in_flight);
            (step, session, in_flight)
        };
        let other = Cursor { run: 1, number: 9 };
        let before = Cursor { run: 0, number: 3 };
        for (next, told) in [
            (other, rows(4..6)),
            (before, rows(0..0)),
            (cursor, rows(4..5)),
        ] {
            assert_eq!(hear(next, told).0, Err(SourceFault::OtherAnswer));
        }
        // What is known does not have to be given again.
        let next = Cursor { run: 0, number: 9 };
        let (step, session, _) = hear(next, rows(0..4));
        assert_eq!((step, session.cursor()), (Ok(Step::Done), Some(next)));
        // Six of which four are new, and then it has only one of those, however often.
        let next = Cursor { run: 0, number: 10 };
        let (step, mut session, mut in_flight) = hear(next, rows(2..8));
        assert!(matches!(step, Ok(Step::Ask(Request::Descriptors(ids))) if ids.len() == 4));
        let same = Arc::new(relay(5, |_| {}));
        let checked = Checked {
            good: vec![same; 4],
            ..Checked::default()
        };
        let step = session.on_checked(&checked, 0, &ours, &mut in_flight);
        assert_eq!((step, session.cursor()), (Ok(Step::Done), None));
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
        let step = session.on_checked(&checked, 0, &ours, &mut in_flight);
        assert_eq!(step, Err(SourceFault::OlderThanListed));
    }

    /// A session with an empty book that was told the summary of `theirs`, and asks for the listings.
    fn comparing(theirs: &Book) -> (Session, Book, InFlight) {
        let (mut ours, mut in_flight) = (book([]), InFlight::new());
        let (mut session, first) = Session::start(false);
        let answer = theirs.directory().answer(&first).unwrap();
        let step = session.on_answer(answer, &mut ours, &mut in_flight);
        assert!(matches!(step, Ok(Step::Ask(Request::Listings(_)))));
        (session, ours, in_flight)
    }

    fn buckets(book: &Book) -> BucketSet {
        Listings::of(book.directory(), &BucketSet::ALL)
            .iter()
            .filter(|one| !one.rows().is_empty())
            .map(|one| one.bucket())
            .collect()
    }

    #[test]
    fn buckets_that_were_left_out_are_asked_for_again_while_others_come() {
        let theirs = book(0..300);
        let (mut session, mut ours, mut in_flight) = comparing(&theirs);
        let all = buckets(&theirs);
        let first: BucketSet = all.iter().take(3).collect();
        let some = Answer::Listings(Listings::of(theirs.directory(), &first));
        let step = session.on_answer(some, &mut ours, &mut in_flight);
        assert_eq!(step, Ok(Step::Ask(Request::Listings(all.without(&first)))));
        let none = Answer::Listings(Listings::default());
        let step = session.on_answer(none, &mut ours, &mut in_flight);
        assert_eq!(step, Err(SourceFault::LeftOut));
    }

    #[test]
    fn who_lists_and_does_not_give_is_at_fault_and_who_lost_a_few_is_not() {
        for (given, fault) in [(0, true), (40, true), (85, false), (100, false)] {
            let theirs = book(0..100);
            let (mut session, mut ours, mut in_flight) = comparing(&theirs);
            let request = Request::Listings(buckets(&theirs));
            let listings = theirs.directory().answer(&request).unwrap();
            let step = session.on_answer(listings, &mut ours, &mut in_flight);
            let Ok(Step::Ask(Request::Descriptors(ids))) = step else {
                panic!("{step:?}");
            };
            let few = Request::Descriptors(ids.into_iter().take(given).collect());
            let answer = theirs.directory().answer(&few).unwrap();
            let step = session.on_answer(answer, &mut ours, &mut in_flight);
            let Ok(Step::Check(unverified)) = step else {
                panic!("{step:?}");
            };
            let checked = check(unverified, NOW);
            for descriptor in &checked.good {
                ours.admit(Arc::clone(descriptor));
            }
            let end = session.on_checked(&checked, 0, &ours, &mut in_flight);
            let expected = if fault {
                Err(SourceFault::Withheld)
            } else {
                Ok(Step::Done)
            };
            assert_eq!(end, expected, "{given} of 100");
        }
    }

    #[test]
    fn a_source_of_relays_without_a_place_is_not_listened_to_for_long() {
        let (mut session, ours, mut in_flight) = asking(&relay(1, |_| {}));
        let step = session.on_checked(
            &Checked::default(),
            MAX_PLACELESS + 1,
            &ours,
            &mut in_flight,
        );
        assert_eq!(step, Err(SourceFault::Placeless));
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
