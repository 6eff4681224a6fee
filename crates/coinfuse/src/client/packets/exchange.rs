//! One question and its answer.

use super::fit::Room;
use super::journey::{Errand, Journey};
use super::stock::{Ready, Stop};
use super::{AskError, Inner};
use crate::client::ClientError;
use crate::client::error::is_ours;
use crate::clock::random;
use coinfuse_directory::SelectError;
use coinfuse_onion::{
    Destination, Frame, LARGE, NextHop, PaymentBytes, Question, Reply, ReplyPath, ReplyTicket,
    SMALL, ServiceRefusal, Terms, Via,
};
use coinfuse_wire::{Decode, Encode, PacketSize, RelayId, ServiceCode};
use core::fmt;
use core::time::Duration;

/// What is asked of a service.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceRequest {
    /// Which service.
    pub service: ServiceCode,
    /// What it is to do, in its own format; nothing for a service that does one thing.
    pub instruction: Vec<u8>,
    /// What it is to do it with.
    pub message: Vec<u8>,
}

impl fmt::Debug for ServiceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceRequest({}, [scrubbed])", self.service)
    }
}

impl Inner {
    /// Tries paths until one is known to have led to the service, or may have.
    pub(super) async fn ask(&self, request: &ServiceRequest) -> Result<Vec<u8>, AskError> {
        let mut attempt = 1;
        loop {
            match self.ask_once(request).await.map(|(answer, _)| answer) {
                Err(error) if attempt < self.config.packets.attempts && error.was_not_served() => {
                    tracing::debug!(%error, attempt, "trying another path");
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Sends the question on one journey; the answer, and who gave it.
    pub(super) async fn ask_once(
        &self,
        request: &ServiceRequest,
    ) -> Result<(Vec<u8>, RelayId), AskError> {
        if self.shutdown.is_cancelled() {
            return Err(AskError::Stopped);
        }
        let errand = Errand {
            service: request.service,
            size: self
                .room(&request.instruction)
                .size(request.message.len())?,
        };
        let ready = self.journey(errand).await?;
        let answer = self.send(&ready, request).await;
        self.note(&ready.journey, &answer);
        let last = ready.journey.there.last();
        let asked = last.map(|leg| leg.relay).ok_or(AskError::Stopped)?;
        let error = match Reply::from_bytes(&answer?) {
            Ok(Reply::Served(answer)) => {
                self.note_service(asked, true);
                return Ok((answer, asked));
            }
            Ok(Reply::Refused(refusal @ ServiceRefusal::Instruction)) => return Err(refusal.into()),
            Ok(Reply::Refused(refusal)) => refusal.into(),
            Err(_) => AskError::BadAnswer,
        };
        self.note_service(asked, false);
        Err(error)
    }

    fn room(&self, instruction: &[u8]) -> Room {
        let config = &self.config.packets;
        let room = || Room::of(config.hops, config.hops_back, instruction);
        match instruction.is_empty() {
            true => *self.packets.room.get_or_init(room),
            false => room(),
        }
    }

    /// The answer as it came. Everything that may fail comes before the vouchers are given away,
    /// and that before the packet leaves.
    async fn send(&self, ready: &Ready, request: &ServiceRequest) -> Result<Vec<u8>, AskError> {
        let post = &self.packets.post;
        let within = self.config.packets.patience();
        let prepare = async {
            let first = ready.there.first().ok_or(AskError::Stopped)?;
            let lane = post.lane(&first.relay).await?;
            let (packet, ticket) = wrap(ready, request, lane.mailbox)?;
            Ok::<_, AskError>((lane, packet, post.expect(ticket, within)?))
        };
        let (lane, packet, answer) = match prepare.await {
            Ok(prepared) => prepared,
            Err(error) => {
                self.packets.stock().put_back(ready.journey.clone());
                return Err(error);
            }
        };
        self.give_away(&ready.journey).await?;
        let answer = lane.exchange(packet, answer, within).await?;
        let ids = ready.journey.voucher_ids();
        if let Err(error) = self.payer.purse().credited(&ids).await {
            tracing::error!(%error, "an answer could not be written down");
        }
        Ok(answer)
    }

    /// From here on the vouchers are never used again, whatever happens.
    async fn give_away(&self, journey: &Journey) -> Result<(), AskError> {
        let given = self.payer.purse().give_away(&journey.voucher_ids()).await;
        self.packets.stock().settle(journey);
        self.payer.pay_reserved(journey.value());
        match given {
            Ok(true) => Ok(()),
            Ok(false) => Err(AskError::PurseShared),
            Err(error) => Err(ClientError::from(error).into()),
        }
    }

    /// Who is to be avoided after this, and who is not.
    fn note(&self, journey: &Journey, answer: &Result<Vec<u8>, AskError>) {
        let (now, mut blames) = (self.clock.now(), self.packets.blames());
        let mut relays: Vec<_> = journey.legs().map(|(leg, _)| leg.relay).collect();
        let first = relays.first().copied();
        // The way back ends where the way there begins.
        relays.truncate(relays.len().saturating_sub(1));
        match answer {
            Ok(_) => {
                self.memory.packet_answered(&relays);
                blames.answered(relays);
            }
            Err(AskError::NoAnswer) => {
                self.memory.packet_lost(&relays);
                blames.lost(relays, now);
            }
            Err(AskError::Link { .. } | AskError::LinkLost) => {
                let ours = matches!(answer, Err(AskError::Link { error, .. }) if is_ours(*error));
                let far = first.filter(|_| !ours);
                far.into_iter()
                    .for_each(|first| self.memory.unreached(first));
                blames.lost(first, now);
            }
            Err(_) => {}
        }
    }

    /// Whether a relay that was asked did what it is there for.
    pub(super) fn note_service(&self, relay: RelayId, served: bool) {
        let mut blames = self.packets.blames();
        match served {
            true => blames.served(&relay),
            false => blames.not_served(relay, self.clock.now()),
        }
    }
}

/// The packet for the first relay, and what opens its answer.
fn wrap(
    ready: &Ready,
    request: &ServiceRequest,
    mailbox: [u8; 32],
) -> Result<(Frame, ReplyTicket), AskError> {
    let nobody = || AskError::Stopped;
    let (last, before) = ready.there.split_last().ok_or_else(nobody)?;
    let first_back = ready.back.first().ok_or_else(nobody)?;
    let back = via(&ready.back, NextHop::Mailbox(mailbox));
    let (reply, ticket) = ReplyPath::new(&random(), first_back.relay.relay, &back)
        .map_err(|error| SelectError::HopCount { got: error.got })?;
    let to = Destination {
        key: last.key,
        service: request.service,
        instruction: request.instruction.clone(),
        terms: terms(last),
    };
    let question = Question {
        via: &via(before, NextHop::Relay(last.relay.relay)),
        to: &to,
        message: &request.message,
        reply: Some(reply),
    };
    let size = ready.journey.errand.size;
    let packet = match size {
        PacketSize::Small => build::<SMALL>(question),
        PacketSize::Large => build::<LARGE>(question),
    };
    Ok((Frame::Packet(size, packet?), ticket))
}

fn build<const N: usize>(question: Question<'_>) -> Result<Vec<u8>, AskError> {
    let max = N;
    let packet = question.build::<N>(&random());
    // Its length was judged before it was paid for.
    Ok(packet.map_err(|_| AskError::TooLong { max })?.to_bytes())
}

/// The relays that pass a packet on, the last of them to `end`.
fn via(stops: &[Stop], end: NextHop) -> Vec<Via> {
    let next = stops.iter().skip(1);
    let next = next.map(|stop| NextHop::Relay(stop.relay.relay));
    let hops = stops.iter().zip(next.chain([end]));
    hops.map(|(stop, next)| Via {
        key: stop.key,
        next,
        terms: terms(stop),
    })
    .collect()
}

/// What a hop gets, and how long it waits: at random, so that it is the same for no two packets.
fn terms(stop: &Stop) -> Terms {
    let payment = stop.voucher.as_ref();
    let payment = payment.map(|voucher| PaymentBytes::new(voucher.voucher.to_bytes()));
    Terms {
        payment: payment.and_then(Result::ok),
        delay: up_to(stop.delay),
    }
}

/// A random time in whole milliseconds.
pub(super) fn up_to(longest: Duration) -> Duration {
    let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    let lot = u64::from_be_bytes(random());
    Duration::from_millis(lot % millis.saturating_add(1).max(1))
}
