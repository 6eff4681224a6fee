//! Questions for this relay's services, and their answers.

use super::Hub;
use super::stats::Event;
use crate::clock::random;
use coinfuse_delivery::mempool::Mempool;
use coinfuse_onion::{Delivery, LARGE, NextHop, Reply, ReplyPath, SMALL, ServiceRefusal, TooLong};
use coinfuse_wire::{Encode, PacketSize, ServiceCode};
use core::time::Duration;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Delivery to the Bitcoin network as a service for packets.
#[derive(Clone)]
pub struct MempoolService {
    /// What takes the transactions.
    pub mempool: Mempool,
    /// How long a transaction waits on average, beside the delay that its packet asks for: each
    /// for a time of its own, exponentially distributed and at most eight times this.
    pub mean_delay: Duration,
}

/// The services of a relay.
pub(super) struct Services {
    pub(super) mempool: Option<MempoolService>,
    /// How many questions there may be at once.
    pub(super) places: Arc<Semaphore>,
    /// How many may be told at once that there are too many.
    pub(super) refusals: Arc<Semaphore>,
}

impl Services {
    /// So many questions at once, of all services together.
    pub(super) fn new(mempool: Option<MempoolService>, questions: usize) -> Self {
        let places = || Arc::new(Semaphore::new(questions.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            mempool,
            places: places(),
            refusals: places(),
        }
    }
}

/// Asks the service beside everything else, and sends the answer.
pub(super) fn serve(hub: &Arc<Hub>, size: PacketSize, delivery: Delivery) {
    let hub = Arc::clone(hub);
    let free = Arc::clone(&hub.services.places).try_acquire_owned();
    let is_free = free.is_ok();
    let place = free.or_else(|_| Arc::clone(&hub.services.refusals).try_acquire_owned());
    let Ok(place) = place else {
        return hub.counters.count(Event::Congested);
    };
    let stop = hub.stop.clone();
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        let reply = match is_free {
            true => ask(&hub, &delivery).await,
            false => Reply::Refused(ServiceRefusal::Busy),
        };
        if let Some(path) = delivery.reply {
            answer(&hub, size, path, reply).await;
        }
        drop(place);
    }));
}

async fn ask(hub: &Hub, delivery: &Delivery) -> Reply {
    match (delivery.service, &hub.services.mempool) {
        (ServiceCode::MEMPOOL, Some(_)) if !delivery.instruction.is_empty() => {
            Reply::Refused(ServiceRefusal::Instruction)
        }
        (ServiceCode::MEMPOOL, Some(service)) => {
            hub.counters.count(Event::Served);
            let delay = drawn(service.mean_delay, random());
            let answer = service.mempool.deliver(&delivery.message, delay, random());
            Reply::Served(answer.await.to_bytes())
        }
        _ => Reply::Refused(ServiceRefusal::NotOffered),
    }
}

/// Sends an answer in the size in which the question came. One that does not fit is not sent.
async fn answer(hub: &Arc<Hub>, size: PacketSize, path: ReplyPath, reply: Reply) {
    let next = NextHop::Relay(path.first());
    // Wrapping a large one takes half a millisecond, which data must not wait for.
    let wrapped = tokio::task::spawn_blocking(move || wrap(size, path, &reply.to_bytes())).await;
    if let Ok(Ok(bytes)) = wrapped {
        hub.counters.count(Event::Answered);
        hub.pass_on(next, size, bytes);
    }
}

fn wrap(size: PacketSize, path: ReplyPath, message: &[u8]) -> Result<Vec<u8>, TooLong> {
    let seed = random();
    match size {
        PacketSize::Small => Ok(path.answer::<SMALL>(&seed, message)?.to_bytes()),
        PacketSize::Large => Ok(path.answer::<LARGE>(&seed, message)?.to_bytes()),
    }
}

/// A time drawn from the exponential distribution, at most eight times its mean.
fn drawn(mean: Duration, random: [u8; 8]) -> Duration {
    // Evenly from 0, excluded, to 1, in steps of 2^-53.
    let evenly = ((u64::from_le_bytes(random) >> 11) + 1) as f64 / (1u64 << 53) as f64;
    mean.mul_f64((-evenly.ln()).clamp(0.0, 8.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_spread_around_their_mean_and_bounded() {
        let mean = Duration::from_secs(10);
        assert_eq!(drawn(mean, [0; 8]), 8 * mean);
        assert_eq!(drawn(mean, [0xff; 8]), Duration::ZERO);
        // Evenly spread input: the mean comes out, and a median of ln 2 of it.
        let count = 1000;
        let draw = |i: u64| {
            drawn(
                mean,
                (u64::MAX / count * i + u64::MAX / count / 2).to_le_bytes(),
            )
        };
        let mut all: Vec<_> = (0..count).map(draw).collect();
        let average = all.iter().sum::<Duration>() / count as u32;
        all.sort();
        assert!(average.abs_diff(mean) < mean / 100, "{average:?}");
        assert!(
            all[500].abs_diff(mean.mul_f64(0.693)) < mean / 100,
            "{:?}",
            all[500]
        );
        assert_eq!(drawn(Duration::ZERO, [0; 8]), Duration::ZERO);
    }
}
