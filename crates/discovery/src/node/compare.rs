//! Comparing the directory with those of others.

use super::Node;
use super::exchange::Asked;
use crate::book::Lists;
use crate::config::Role;
use crate::session::{Checked, Session, SourceFault, Step, check};
use crate::sources::Source;
use crate::trouble::SourceTrouble;
use coinfuse_directory::UnverifiedDescriptor;
use coinfuse_directory::sync::{Answer, Request};
use core::pin::Pin;
use futures::future::Future;
use libp2p::PeerId;
use std::sync::Arc;

/// By how much sooner the next comparison comes while there is much to be learnt.
const SOONER: u32 = 8;

/// From how many relays on a client follows what changes, instead of comparing each time: with fewer,
/// comparing is cheap, and notices more.
const FOLLOW_FROM: usize = 500;

/// Descriptors of a source, being checked on another thread.
pub(super) type Checking = Pin<Box<dyn Future<Output = (PeerId, Checked)> + Send>>;

impl Node {
    /// Asks the source that is followed what changed; if nobody is, compares with the next one.
    pub(super) fn keep_up(&mut self) {
        let follows = self.follows();
        match self.sources.take_followed().filter(|_| follows) {
            Some((source, since)) if !self.sessions.contains_key(&source.peer) => {
                self.open(source, Session::follow(Some(since)));
            }
            _ => {
                self.compare_with_next();
            }
        }
    }

    fn follows(&mut self) -> bool {
        self.role == Role::Client && self.book().directory().len() >= FOLLOW_FROM
    }

    /// Starts to compare with the source whose turn it is; false if there is none.
    pub(super) fn compare_with_next(&mut self) -> bool {
        let now = self.now();
        let busy = |peer: &PeerId| self.sessions.contains_key(peer);
        let book = &self.swarm.behaviour_mut().kad.store_mut().book;
        let (directory, is_sure) = (book.directory(), |relay: &_| book.is_reached(relay));
        let draw = &mut self.draw;
        let next = self.sources.next(directory, is_sure, busy, draw, now);
        let Some(source) = next else {
            return false;
        };
        let session = match self.follows() {
            true => Session::follow(None),
            false => Session::start(self.role == Role::Relay),
        };
        self.open(source, session);
        true
    }

    fn open(&mut self, source: Source, (session, first): (Session, Request)) {
        self.sessions.insert(source.peer, session);
        self.ask(source, first, Asked::Compare);
    }

    /// A source answered.
    pub(super) fn on_answer(&mut self, peer: PeerId, answer: Answer) {
        let book = &mut self.swarm.behaviour_mut().kad.store_mut().book;
        let Some(session) = self.sessions.get_mut(&peer) else {
            return;
        };
        let step = session.on_answer(answer, book, &mut self.in_flight);
        self.take_step(peer, step);
    }

    /// Descriptors of a source were checked.
    pub(super) fn on_checked(&mut self, (peer, checked): (PeerId, Checked)) {
        self.note_untimely(checked.untimely);
        self.sources.checked(&peer, &checked);
        let book = self.book();
        let admitted = checked.good.iter().map(|one| book.admit(Arc::clone(one)));
        let placeless = admitted
            .filter(|admission| admission.is_placeless())
            .count();
        self.show_changes();
        let book = &self.swarm.behaviour_mut().kad.store_mut().book;
        if let Some(session) = self.sessions.get_mut(&peer) {
            let step = session.on_checked(&checked, placeless, book, &mut self.in_flight);
            self.take_step(peer, step);
        }
    }

    /// A source did not answer.
    pub(super) fn on_no_answer(&mut self, peer: PeerId) {
        if let Some(session) = self.sessions.remove(&peer) {
            session.end(&mut self.in_flight);
            let now = self.now();
            self.sources.failed(&peer, now);
            self.compare_at_start();
        }
    }

    fn take_step(&mut self, peer: PeerId, step: Result<Step, SourceFault>) {
        match step {
            Ok(Step::Ask(request)) => self.ask_again(peer, request),
            Ok(Step::Check(unverified)) => self.check(peer, unverified),
            Ok(Step::Done) => self.end_session(peer, None),
            Ok(Step::Busy) => {
                let now = self.now();
                self.sources.was_busy(&peer, now);
                self.drop_session(peer);
            }
            Err(fault) => self.end_session(peer, Some(fault)),
        }
    }

    fn ask_again(&mut self, peer: PeerId, request: Request) {
        let source = Source {
            peer,
            addresses: Vec::new(),
            relay: None,
        };
        self.ask(source, request, Asked::Compare);
    }

    fn check(&mut self, peer: PeerId, unverified: Vec<UnverifiedDescriptor>) {
        let now = self.clock.now();
        let checking = tokio::task::spawn_blocking(move || check(unverified, now));
        self.checking.push(Box::pin(async move {
            (peer, checking.await.unwrap_or_default())
        }));
    }

    fn end_session(&mut self, peer: PeerId, fault: Option<SourceFault>) {
        let now = self.now();
        let Some(session) = self.sessions.remove(&peer) else {
            return;
        };
        match fault {
            None => self.on_heard(peer, &session),
            Some(SourceFault::Forged) => {
                tracing::warn!("a source forged a descriptor; it is not asked again");
                self.sources.forged(&peer, now);
            }
            Some(fault) => {
                tracing::info!(%fault, "a source made no sense");
                self.sources.note(&peer, SourceTrouble::Senseless);
                self.sources.failed(&peer, now);
            }
        }
        session.end(&mut self.in_flight);
        self.changed();
        self.compare_at_start();
    }

    /// A source told all that it was asked.
    fn on_heard(&mut self, peer: PeerId, session: &Session) {
        let now = self.now();
        let book = &self.swarm.behaviour_mut().kad.store_mut().book;
        let view = session.view(book);
        let was_full = view.is_some();
        let is_client = self.role == Role::Client;
        let lists = view.as_ref().filter(|_| is_client).map(Lists::of);
        let finding = self.sources.heard(&peer, view, &mut self.draw, now);
        self.weigh(peer, lists);
        if finding.permille() > 0 {
            tracing::info!(
                hidden = finding.hidden.len(),
                stale = finding.stale.len(),
                judged = finding.judged,
                "a source left relays out"
            );
        }
        if let Some(cursor) = session.cursor() {
            self.sources.follow(peer, cursor, now);
        }
        self.announce_soon();
        self.compare_sooner(session);
        // Right after the changes of one source there is little in which another one differs.
        if !was_full && self.sources.wants_full(now) {
            self.compare_with_next();
        }
    }

    /// After a comparison that brought a tenth of all that is known, or more, the next one comes sooner:
    /// there may be much more that is not known yet.
    fn compare_sooner(&mut self, session: &Session) {
        let known = self.book().directory().len();
        if session.fetched() > 0 && session.fetched() * 10 >= known {
            let soon = self.now() + self.draw.jitter(self.timing.compare / SOONER);
            self.timers.compare_by(soon);
        }
    }

    fn drop_session(&mut self, peer: PeerId) {
        if let Some(session) = self.sessions.remove(&peer) {
            session.end(&mut self.in_flight);
        }
        self.compare_at_start();
    }
}
