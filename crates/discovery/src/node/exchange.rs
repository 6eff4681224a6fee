//! Questions and answers about the directory, and passing news on.

use super::Node;
use crate::book::Subnet;
use crate::news::Item;
use crate::session::{Checked, Untimely, check};
use crate::sources::{Source, source_of};
use crate::trouble::SourceTrouble;
use coinfuse_directory::sync::{Answer, RawDescriptor, Request};
use coinfuse_directory::{Descriptor, UnverifiedDescriptor};
use coinfuse_wire::RelayId;
use core::pin::Pin;
use futures::future::Future;
use libp2p::PeerId;
use libp2p::request_response::{
    Event, InboundRequestId, Message, OutboundFailure, ResponseChannel,
};
use std::io;
use std::sync::Arc;

/// To how many others a node passes news on.
const FANOUT: usize = 4;

/// To how many peers news may be on its way.
const MAX_NEWS: usize = 64;

/// How much that peers told by themselves may wait to be checked.
const MAX_TELLING: usize = 256;
/// How many threads check that.
pub(super) const CHECKERS: usize = 4;

/// What a peer told by itself, looked at on another thread.
pub(super) type Telling = Pin<Box<dyn Future<Output = Told> + Send>>;

/// Descriptors that a peer told by itself.
pub(super) struct Told {
    from: PeerId,
    checked: Checked,
    /// How to say how many of them were news; records of the DHT are not answered.
    question: Option<Question>,
}

/// A question that is to be answered.
struct Question {
    from: PeerId,
    id: InboundRequestId,
    channel: ResponseChannel<Answer>,
}

/// What for something was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// For comparing directories.
    Compare,
    /// To pass news on.
    News,
    /// Whether a peer that was reached in this subnet is this relay's.
    Who(RelayId, Subnet),
}

impl Node {
    pub(super) fn ask(&mut self, source: Source, request: Request, what_for: Asked) {
        let directory = &mut self.swarm.behaviour_mut().directory;
        let id = directory.send_request_with_addresses(&source.peer, request, source.addresses);
        self.asked.insert(id, what_for);
    }

    pub(super) fn on_exchange(&mut self, event: Event<Request, Answer>) {
        match event {
            Event::Message { peer, message, .. } => match message {
                Message::Request {
                    request_id,
                    request,
                    channel,
                } => {
                    let question = Question {
                        from: peer,
                        id: request_id,
                        channel,
                    };
                    self.on_request(question, request);
                }
                Message::Response {
                    request_id,
                    response,
                } => match self.asked.remove(&request_id) {
                    Some(Asked::Compare) => self.on_answer(peer, response),
                    Some(Asked::Who(relay, subnet)) if response == Answer::Relay(Some(relay)) => {
                        self.reached(&relay, subnet);
                    }
                    _ => {}
                },
            },
            Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                if self.asked.remove(&request_id) == Some(Asked::Compare) {
                    self.note_failure(&peer, &error);
                    self.on_no_answer(peer);
                }
            }
            Event::InboundFailure { request_id, .. } | Event::ResponseSent { request_id, .. } => {
                self.outbox.sent(request_id);
            }
        }
    }

    fn note_failure(&mut self, peer: &PeerId, error: &OutboundFailure) {
        use SourceTrouble::{NoAnswer, NoDirectory, OwnLimits, Senseless};
        match error {
            // The swarm has said why, unless it did not even try.
            OutboundFailure::DialFailure => self.sources.note_at_least(peer, OwnLimits),
            OutboundFailure::UnsupportedProtocols => self.sources.note(peer, NoDirectory),
            OutboundFailure::Io(error) if is_nonsense(error) => self.sources.note(peer, Senseless),
            OutboundFailure::Io(_)
            | OutboundFailure::Timeout
            | OutboundFailure::ConnectionClosed => self.sources.note(peer, NoAnswer),
        }
    }

    fn on_request(&mut self, question: Question, request: Request) {
        let now = self.now();
        let peer = question.from;
        let party = self.peers.party(&peer);
        let has_room = party.is_some_and(|party| self.outbox.has_room(party));
        let answer = match request {
            _ if !has_room || !self.peers.may_ask(&peer, now) => Answer::Busy,
            Request::Publish(raw) => return self.on_published(question, &raw),
            Request::Summary => Answer::Summary(self.book().summary()),
            Request::Changes(since) => Answer::Changes(self.book().changes(since)),
            Request::Who => Answer::Relay(self.own.as_ref().map(|own| own.relay)),
            other => self
                .book()
                .directory()
                .answer(&other)
                .unwrap_or(Answer::Busy),
        };
        self.reply(question, answer);
    }

    fn reply(&mut self, question: Question, answer: Answer) {
        let Some(party) = self.peers.party(&question.from) else {
            return;
        };
        self.outbox.sending(question.id, party, &answer);
        let directory = &mut self.swarm.behaviour_mut().directory;
        if directory.send_response(question.channel, answer).is_err() {
            self.outbox.sent(question.id);
        }
    }

    /// A peer tells descriptors by itself; those that could be news are looked at.
    fn on_published(&mut self, question: Question, raw: &[RawDescriptor]) {
        if self.telling.len() >= MAX_TELLING {
            return self.reply(question, Answer::Busy);
        }
        let new = raw
            .iter()
            .filter_map(|raw| self.read_published(&question.from, raw));
        let new: Vec<UnverifiedDescriptor> = new.collect();
        match new.is_empty() {
            true => self.reply(question, Answer::Published(0)),
            false => self.look_at(question.from, new, Some(question)),
        }
    }

    fn read_published(
        &mut self,
        peer: &PeerId,
        raw: &RawDescriptor,
    ) -> Option<UnverifiedDescriptor> {
        let now = self.now();
        if !self.peers.may_tell(peer, now) {
            return None;
        }
        let unverified = raw.read().ok()?;
        let known = self.book().directory().get(&unverified.claimed_relay());
        let is_known = known.is_some_and(|known| known.as_bytes() == raw.as_bytes());
        (!is_known).then_some(unverified)
    }

    /// A record of the DHT could be news.
    pub(super) fn on_record(&mut self, from: PeerId, descriptor: UnverifiedDescriptor) {
        if self.telling.len() < MAX_TELLING {
            self.look_at(from, vec![descriptor], None);
        }
    }

    /// Has descriptors checked on another thread.
    fn look_at(
        &mut self,
        from: PeerId,
        descriptors: Vec<UnverifiedDescriptor>,
        question: Option<Question>,
    ) {
        let now = self.clock.now();
        let checkers = Arc::clone(&self.checkers);
        self.telling.push(Box::pin(async move {
            let _one = checkers.acquire().await;
            let checking = tokio::task::spawn_blocking(move || check(descriptors, now));
            Told {
                from,
                checked: checking.await.unwrap_or_default(),
                question,
            }
        }));
    }

    /// What a peer told was checked.
    pub(super) fn on_told(&mut self, told: Told) {
        self.note_untimely(told.checked.untimely);
        let good = told.checked.good.into_iter();
        let news = good.filter(|one| self.take_in(Arc::clone(one), Some(told.from)));
        let news = news.count();
        if let Some(question) = told.question {
            self.reply(question, Answer::Published(news as u16));
        }
        if told.checked.forged {
            self.on_forger(told.from);
        }
    }

    /// A peer told what it must know to be false. A source is banned for it; of the others there is no
    /// end, and a list of them would be one that anybody can fill.
    fn on_forger(&mut self, peer: PeerId) {
        let now = self.now();
        if self.sources.is_source(&peer) {
            tracing::warn!("a source forged a descriptor; it is not asked again");
            self.sources.forged(&peer, now);
        }
        let _gone_already = self.swarm.disconnect_peer_id(peer);
    }

    /// Counts what was not taken because of its time.
    pub(super) fn note_untimely(&mut self, more: Untimely) {
        self.untimely.expired += more.expired;
        self.untimely.from_the_future += more.from_the_future;
    }

    /// Takes a verified descriptor in, and passes it on if it is new.
    pub(super) fn take_in(&mut self, descriptor: Arc<Descriptor>, from: Option<PeerId>) -> bool {
        let relay = descriptor.relay;
        let is_news = self.book().admit(descriptor).is_news();
        self.show_changes();
        if is_news {
            self.tell(Item { relay, from });
        }
        is_news
    }

    /// Has something passed on.
    pub(super) fn tell(&mut self, item: Item) {
        let now = self.now();
        self.news.add(item, now);
        self.timers.news_by(self.news.due());
    }

    /// Passes on what has gathered.
    pub(super) fn spread(&mut self) {
        let now = self.now();
        let items = self.news.take(Request::MAX_PUBLISHED, now);
        self.timers.news_by(self.news.due());
        let under_way = self.asked.values().filter(|asked| **asked == Asked::News);
        // What is not passed on gets around by comparison.
        if items.is_empty() || under_way.count() > MAX_NEWS {
            return;
        }
        for source in self.whom_to_tell() {
            let book = &self.swarm.behaviour_mut().kad.store_mut().book;
            let others = items.iter().filter(|item| item.from != Some(source.peer));
            let known = others.filter_map(|item| book.directory().get(&item.relay));
            let raw: Vec<RawDescriptor> = known.map(|one| RawDescriptor::from(&**one)).collect();
            if !raw.is_empty() {
                self.ask(source, Request::Publish(raw), Asked::News);
            }
        }
    }

    /// Some relays, those first that are connected anyway.
    fn whom_to_tell(&mut self) -> Vec<Source> {
        let connected = self.draw.sample(self.peers.relays(), FANOUT);
        let mut chosen: Vec<Source> = connected
            .into_iter()
            .map(|peer| Source {
                peer,
                addresses: Vec::new(),
                relay: None,
            })
            .collect();
        let local = *self.swarm.local_peer_id();
        let directory = self.swarm.behaviour_mut().kad.store_mut().book.directory();
        let offers = directory.iter().filter(|one| one.source.is_some());
        let sample = self.draw.sample(offers, FANOUT).into_iter();
        for source in sample.filter_map(|one| source_of(one)) {
            let is_chosen = chosen.iter().any(|one| one.peer == source.peer);
            if chosen.len() < FANOUT && !is_chosen && source.peer != local {
                chosen.push(source);
            }
        }
        chosen
    }
}

/// Whether something was read that is not an answer.
fn is_nonsense(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, InvalidData};
    matches!(error.kind(), InvalidData | FileTooLarge)
}
