//! What a relay says about itself, as it changes, and telling it to the network.

use crate::clock::Clock;
use crate::relay::Relay;
use coinfuse_directory::{BuildError, Descriptor, DescriptorBody, Identity, Load};
use coinfuse_discovery::Discovery;
use coinfuse_wire::{ByteCount, RelayId, UnixTime};
use core::time::Duration;
use std::sync::{Mutex, PoisonError, Weak};
use tokio::time::{Instant, sleep};

/// How often a relay looks whether it has something new to tell.
const LOOK: Duration = Duration::from_secs(5);
/// For how long a relay is as busy as it said, whatever it does: that is not worth a descriptor
/// every few seconds, and nobody shall watch it from afar.
const SAME_LOAD: Duration = Duration::from_secs(60);
/// How old a descriptor gets before the next, which says the same for longer.
const REFRESH: Duration = Duration::from_secs(DescriptorBody::DEFAULT_LIFETIME.as_secs() / 3);

/// A relay and what is published about it.
pub(super) struct Portrait {
    relay: Relay,
    identity: Identity,
    /// What does not change while it runs.
    body: DescriptorBody,
    pace: Mutex<Pace>,
}

/// How much is carried in a second, over the last minute or so.
struct Pace {
    since: Instant,
    carried: ByteCount,
    per_second: u64,
}

impl Pace {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            carried: ByteCount::ZERO,
            per_second: 0,
        }
    }

    /// Takes how much was carried until `now`.
    fn look(&mut self, now: Instant, carried: ByteCount) -> u64 {
        let elapsed = now.saturating_duration_since(self.since).as_secs();
        if elapsed >= SAME_LOAD.as_secs() {
            self.per_second = carried.saturating_sub(self.carried).get() / elapsed;
            (self.since, self.carried) = (now, carried);
        }
        self.per_second
    }
}

impl Portrait {
    /// Of a relay of which this does not change.
    pub(super) fn new(relay: Relay, identity: Identity, body: DescriptorBody) -> Self {
        Self {
            relay,
            identity,
            body,
            pace: Mutex::new(Pace::new()),
        }
    }

    /// The relay.
    pub(super) fn relay(&self) -> &Relay {
        &self.relay
    }

    /// What there is to say now.
    pub(super) fn descriptor(&self) -> Result<Descriptor, BuildError> {
        self.body_at(Clock::start().unix()).sign(&self.identity)
    }

    fn body_at(&self, now: UnixTime) -> DescriptorBody {
        let mut body = self.body.clone();
        body.published = now;
        body.sequence = now.secs();
        body.expires = now.saturating_add(DescriptorBody::DEFAULT_LIFETIME);
        body.packets = self.relay.packet_offer();
        body.load = Some(self.load());
        body
    }

    /// The part of its circuits that are open, or of the bytes that it says it carries, whichever is
    /// more.
    fn load(&self) -> Load {
        let stats = self.relay.stats();
        let circuits = load(stats.open_circuits, self.relay.limits().max_circuits as u64);
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let per_second = pace.look(Instant::now(), stats.carried);
        let capacity = self.body.capacity.map(ByteCount::get);
        circuits.max(capacity.map_or(Load::Low, |capacity| load(per_second, capacity)))
    }

    /// Whether there is something to say beyond what was `told`.
    fn has_news(&self, told: &DescriptorBody, now: UnixTime) -> bool {
        let age = now.saturating_since(told.published);
        let mut body = self.body_at(now);
        (body.sequence, body.published) = (told.sequence, told.published);
        body.expires = told.expires;
        if age < SAME_LOAD {
            body.load = told.load;
        }
        age >= REFRESH || body != *told
    }
}

fn load(used: u64, of: u64) -> Load {
    match used.saturating_mul(4).checked_div(of) {
        Some(0) => Load::Low,
        Some(1) => Load::Medium,
        Some(2) => Load::High,
        _ => Load::Full,
    }
}

/// Tells the network what there is to say, whenever that changes or gets old, until the relay or
/// discovery ends.
pub(super) async fn announce(portrait: Weak<Portrait>, discovery: Discovery) {
    let mut told: Option<DescriptorBody> = None;
    let mut last_trouble = String::new();
    loop {
        let Some(portrait) = portrait.upgrade() else {
            return;
        };
        let now = Clock::start().unix();
        let known = known_sequence(&discovery, &portrait.body.relay);
        if told
            .as_ref()
            .is_none_or(|told| known > told.sequence || portrait.has_news(told, now))
        {
            match publish(&portrait, &discovery, now, known).await {
                Ok(body) => told = Some(body),
                Err(trouble) if trouble == last_trouble => {}
                Err(trouble) => {
                    tracing::warn!("this relay is not told to the network: {trouble}");
                    last_trouble = trouble;
                }
            }
        }
        drop(portrait);
        sleep(LOOK).await;
    }
}

/// The sequence of what the network has of this relay: what an earlier run told it may be of the same
/// second, or of a later one, if the clock was set back since.
fn known_sequence(discovery: &Discovery, relay: &RelayId) -> u64 {
    let directory = discovery.directory();
    let known = directory.borrow();
    known.get(relay).map_or(0, |known| known.sequence)
}

async fn publish(
    portrait: &Portrait,
    discovery: &Discovery,
    now: UnixTime,
    known: u64,
) -> Result<DescriptorBody, String> {
    let mut body = portrait.body_at(now);
    body.sequence = body.sequence.max(known.saturating_add(1));
    let descriptor = body.clone().sign(&portrait.identity);
    let descriptor = descriptor.map_err(|error| error.to_string())?;
    let published = discovery.publish(descriptor).await;
    published.map_err(|error| error.to_string())?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_pace_is_that_of_the_last_minute() {
        let mut pace = Pace::new();
        let begun = pace.since;
        let mut look =
            |secs, mib| pace.look(begun + Duration::from_secs(secs), ByteCount::from_mib(mib));
        assert_eq!(look(59, 600), 0);
        assert_eq!(look(60, 600), 10 << 20);
        assert_eq!(look(119, 9_000), 10 << 20);
        assert_eq!(look(160, 800), 2 << 20);
        assert_eq!(look(220, 800), 0);
    }

    #[test]
    fn load_is_told_in_quarters() {
        for (used, of, expected) in [
            (0, 0, Load::Full),
            (0, 100, Load::Low),
            (24, 100, Load::Low),
            (25, 100, Load::Medium),
            (74, 100, Load::High),
            (75, 100, Load::Full),
            (u64::MAX, 1, Load::Full),
        ] {
            assert_eq!(load(used, of), expected, "{used} of {of}");
        }
    }
}
