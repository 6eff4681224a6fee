//! Questions and answers about the directory, and passing news on.

use super::Node;
use crate::book::Subnet;
use crate::news::Item;
use crate::session::check;
use crate::sources::{Source, source_of};
use coinfuse_directory::Descriptor;
use coinfuse_directory::sync::{Answer, RawDescriptor, Request};
use coinfuse_wire::{Encode, RelayId};
use libp2p::PeerId;
use libp2p::request_response::{Event, InboundRequestId, Message, ResponseChannel};
use std::sync::Arc;

/// To how many others a node passes news on.
const FANOUT: usize = 4;

/// To how many peers news may be on its way.
const MAX_NEWS: usize = 64;

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
                } => self.on_request(peer, request_id, request, channel),
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
                peer, request_id, ..
            } => {
                if self.asked.remove(&request_id) == Some(Asked::Compare) {
                    self.on_no_answer(peer);
                }
            }
            Event::InboundFailure { request_id, .. } | Event::ResponseSent { request_id, .. } => {
                self.answers.remove(&request_id);
            }
        }
    }

    fn on_request(
        &mut self,
        peer: PeerId,
        id: InboundRequestId,
        request: Request,
        channel: ResponseChannel<Answer>,
    ) {
        let now = self.now();
        let under_way: usize = self.answers.values().sum();
        let answer = if under_way > self.limits.answers || !self.peers.may_ask(&peer, now) {
            Answer::Busy
        } else {
            self.answer(peer, request)
        };
        self.answers.insert(id, answer_len(&answer));
        let directory = &mut self.swarm.behaviour_mut().directory;
        if directory.send_response(channel, answer).is_err() {
            self.answers.remove(&id);
        }
    }

    fn answer(&mut self, peer: PeerId, request: Request) -> Answer {
        match request {
            Request::Summary => Answer::Summary(self.book().summary()),
            Request::Changes(since) => Answer::Changes(self.book().changes(since)),
            Request::Who => Answer::Relay(self.own.as_ref().map(|own| own.relay)),
            Request::Publish(raw) => {
                let news = raw.iter().filter(|raw| self.on_published(peer, raw));
                Answer::Published(news.count() as u16)
            }
            other => self
                .book()
                .directory()
                .answer(&other)
                .unwrap_or(Answer::Busy),
        }
    }

    /// Looks at a descriptor that a peer sent by itself. True if it is good and new.
    fn on_published(&mut self, peer: PeerId, raw: &RawDescriptor) -> bool {
        let now = self.now();
        if !self.peers.may_tell(&peer, now) {
            return false;
        }
        let Ok(unverified) = raw.read() else {
            return false;
        };
        let known = self.book().directory().get(&unverified.claimed_relay());
        if known.is_some_and(|known| known.as_bytes() == raw.as_bytes()) {
            return false;
        }
        let checked = check(vec![unverified], self.clock.now());
        if checked.forged {
            self.sources.forged(&peer, now);
        }
        let mut good = checked.good.into_iter();
        good.next()
            .is_some_and(|descriptor| self.take_in(descriptor, Some(peer)))
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
        let all = directory.iter().filter_map(|one| source_of(one));
        for source in self.draw.sample(all, FANOUT) {
            let is_chosen = chosen.iter().any(|one| one.peer == source.peer);
            if chosen.len() < FANOUT && !is_chosen && source.peer != local {
                chosen.push(source);
            }
        }
        chosen
    }
}

/// How much memory an answer holds until it is sent.
fn answer_len(answer: &Answer) -> usize {
    match answer {
        Answer::Descriptors(all) => all.iter().map(|one| one.as_bytes().len()).sum(),
        other => other.to_bytes().len(),
    }
}
