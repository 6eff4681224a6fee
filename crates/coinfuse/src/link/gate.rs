//! How many handshakes come in: token buckets per address and in total.

use coinfuse_wire::Instant;
use core::hash::BuildHasher;
use core::time::Duration;
use std::hash::RandomState;
use std::net::IpAddr;

/// Rates of incoming handshakes. A handshake costs a relay about 0.3 ms of one core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeRates {
    /// Handshakes per second from one IPv4 address or one IPv6 /64. Default 16.
    pub per_address: u32,
    /// Handshakes that one address may make at once after a silence. Default 64.
    pub per_address_burst: u32,
    /// Handshakes per second in total. Default 256.
    pub total: u32,
    /// Handshakes in total that may come at once after a silence. Default 1,024.
    ///
    /// When half of it is used up, newcomers must first prove that they receive at the address that
    /// they claim, which costs them a round trip and us no state.
    pub total_burst: u32,
}

impl Default for HandshakeRates {
    fn default() -> Self {
        Self {
            per_address: 16,
            per_address_burst: 64,
            total: 256,
            total_burst: 1_024,
        }
    }
}

/// What to do with a newcomer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Shake hands.
    Accept,
    /// Have it prove its address first (QUIC Retry).
    Retry,
    /// Turn it away.
    Refuse,
}

/// Decides about newcomers. Memory is constant (128 KiB), whoever comes.
///
/// Addresses are spread over a fixed number of buckets by a keyed hash. Two addresses may so share
/// one, which an attacker cannot aim at, and which a flood of addresses cannot make worse
/// than the total limit: forged addresses are never charged.
#[derive(Debug)]
pub struct HandshakeGate {
    rates: HandshakeRates,
    total: Bucket,
    buckets: Box<[Bucket]>,
    hasher: RandomState,
}

impl HandshakeGate {
    const BUCKETS: usize = 4_096;

    /// A gate that has seen nobody yet.
    pub fn new(rates: HandshakeRates, now: Instant) -> Self {
        Self {
            rates,
            total: Bucket::full(rates.total_burst, now),
            buckets: vec![Bucket::full(rates.per_address_burst, now); Self::BUCKETS].into(),
            hasher: RandomState::new(),
        }
    }

    /// Judges a newcomer from `address`, and counts it if it is accepted.
    ///
    /// `validated` says that the address is proven to be its own.
    pub fn judge(&mut self, now: Instant, address: IpAddr, validated: bool) -> Verdict {
        let HandshakeRates {
            per_address,
            per_address_burst,
            total,
            total_burst,
        } = self.rates;
        let index = self.hasher.hash_one(group(address)) as usize % Self::BUCKETS;
        let bucket = &mut self.buckets[index];
        bucket.refill(now, per_address, per_address_burst);
        self.total.refill(now, total, total_burst);

        let pressed = self.total.tokens() < total_burst / 2;
        if !validated && (pressed || bucket.tokens() == 0) {
            return Verdict::Retry;
        }
        if bucket.tokens() == 0 || self.total.tokens() == 0 {
            return Verdict::Refuse;
        }
        bucket.take();
        self.total.take();
        Verdict::Accept
    }
}

/// An IPv6 user has a /64 to choose addresses from, so that is one address here.
fn group(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => (u128::from(v6) >> 64) as u64 | 1 << 63,
    }
}

/// Counts in millionths of a token, so that refilling is exact at any rate.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    micro: u64,
    refilled: Instant,
}

impl Bucket {
    const TOKEN: u64 = 1_000_000;

    fn full(burst: u32, now: Instant) -> Self {
        Self {
            micro: u64::from(burst) * Self::TOKEN,
            refilled: now,
        }
    }

    fn refill(&mut self, now: Instant, per_second: u32, burst: u32) {
        let elapsed: Duration = now.saturating_since(self.refilled);
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let earned = micros.saturating_mul(per_second.into());
        self.micro = self
            .micro
            .saturating_add(earned)
            .min(u64::from(burst) * Self::TOKEN);
        // Whole microseconds are credited; keep the rest for the next time.
        self.refilled = self.refilled + Duration::from_micros(micros);
    }

    fn tokens(&self) -> u32 {
        (self.micro / Self::TOKEN) as u32
    }

    fn take(&mut self) {
        self.micro = self.micro.saturating_sub(Self::TOKEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: HandshakeRates = HandshakeRates {
        per_address: 2,
        per_address_burst: 4,
        total: 100,
        total_burst: 1_000,
    };

    fn at(millis: u64) -> Instant {
        Instant::from_epoch(Duration::from_millis(millis))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_burst_and_then_its_rate() {
        let mut gate = HandshakeGate::new(RATES, at(0));
        let mut judge = |millis| gate.judge(at(millis), address("192.0.2.1"), true);
        assert_eq!(
            [(); 5].map(|()| judge(0)),
            [
                Verdict::Accept,
                Verdict::Accept,
                Verdict::Accept,
                Verdict::Accept,
                Verdict::Refuse,
            ]
        );
        assert_eq!(
            [judge(499), judge(500), judge(501)],
            [Verdict::Refuse, Verdict::Accept, Verdict::Refuse,]
        );
    }

    #[test]
    fn a_forged_address_cannot_lock_out_its_owner() {
        let mut gate = HandshakeGate::new(RATES, at(0));
        let victim = address("192.0.2.1");
        let forged: Vec<_> = (0..100).map(|_| gate.judge(at(0), victim, false)).collect();
        assert!(forged[4..].iter().all(|verdict| *verdict == Verdict::Retry));
        // The owner answers its retry; half a second later there is room for it.
        assert_eq!(gate.judge(at(500), victim, false), Verdict::Accept);
    }

    #[test]
    fn under_load_newcomers_must_prove_their_address() {
        let rates = HandshakeRates {
            total_burst: 10,
            total: 1,
            ..RATES
        };
        let mut gate = HandshakeGate::new(rates, at(0));
        let mut came = 0;
        let mut newcomer = |validated| {
            came += 1;
            gate.judge(at(0), IpAddr::from([198, 51, 100, came]), validated)
        };
        assert_eq!([(); 6].map(|()| newcomer(false)), [Verdict::Accept; 6]);
        assert_eq!(newcomer(false), Verdict::Retry);
        assert_eq!([(); 4].map(|()| newcomer(true)), [Verdict::Accept; 4]);
        assert_eq!(newcomer(true), Verdict::Refuse);
    }

    #[test]
    fn one_ipv6_subnet_is_one_address() {
        let mut gate = HandshakeGate::new(RATES, at(0));
        let accepted = (1..=20u16)
            .map(|host| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, host]))
            .filter(|ip| gate.judge(at(0), *ip, true) == Verdict::Accept)
            .count();
        assert_eq!(accepted, 4);
    }

    #[test]
    fn a_clock_that_stands_still_or_jumps_is_harmless() {
        let mut gate = HandshakeGate::new(RATES, at(1_000));
        for _ in 0..4 {
            assert_eq!(
                gate.judge(at(1_000), address("192.0.2.1"), true),
                Verdict::Accept
            );
        }
        assert_eq!(
            gate.judge(at(0), address("192.0.2.1"), true),
            Verdict::Refuse
        );
        let far = Instant::from_epoch(Duration::MAX);
        assert_eq!(gate.judge(far, address("192.0.2.1"), true), Verdict::Accept);
    }
}
