//! Comparing the directory with those of others.

use super::Node;
use super::exchange::Asked;
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

/// Descriptors of a source, being checked on another thread.
pub(super) type Checking = Pin<Box<dyn Future<Output = (PeerId, Checked)> + Send>>;

impl Node {
    /// Starts to compare with the source whose turn it is; false if there is none.
    pub(super) fn compare_with_next(&mut self) -> bool {
        let now = self.now();
        let busy = |peer: &PeerId| self.sessions.contains_key(peer);
        let directory = self.swarm.behaviour_mut().kad.store_mut().book.directory();
        let next = self.sources.next(directory, busy, &mut self.draw, now);
        let Some(source) = next else {
            return false;
        };
        let (session, first) = Session::start(self.role == Role::Relay);
        self.sessions.insert(source.peer, session);
        self.ask(source, first, Asked::Compare);
        true
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
        if admitted.filter(|admission| admission.is_news()).count() > 0 {
            self.changed();
        }
        let book = &self.swarm.behaviour_mut().kad.store_mut().book;
        if let Some(session) = self.sessions.get_mut(&peer) {
            let step = session.on_checked(&checked, book, &mut self.in_flight);
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
            None => {
                let book = &self.swarm.behaviour_mut().kad.store_mut().book;
                let view = session.view(book);
                let finding = self.sources.heard(&peer, view, &mut self.draw, now);
                self.announce_soon();
                self.compare_sooner(&session);
                if finding.permille() > 0 {
                    tracing::info!(
                        hidden = finding.hidden.len(),
                        stale = finding.stale.len(),
                        judged = finding.judged,
                        "a source left relays out"
                    );
                }
            }
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
