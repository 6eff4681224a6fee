use crate::NOW;
use coinfuse_circuit::{
    AccountToken, Assembler, ClientCircuit, ClientOutput, FromClient, HopPlan, IncomingCircuit,
    Limits, MAX_BODY, NextHop, Offer, OnionSecret, PayResult, Price, Quote, Record, RelayCircuit,
    RelayEvent, RelayOutput, Seed, Suite, TopUpPolicy, Welcome,
};
use coinfuse_directory::Identity;
use coinfuse_wire::{ByteCount, HopIndex, Instant, Msat, Rate, UnixTime};
use core::time::Duration;
use std::collections::VecDeque;

const IDENTITY: [u8; 32] = [7; 32];
const EXPIRES: UnixTime = UnixTime::from_secs(NOW.secs() + 60);
const BALANCE: u64 = 40_000;

/// Records that are on their way, whole: how lanes are cut is `circuit_records`.
type Lane = VecDeque<Vec<u8>>;

/// A circuit of two hops and what is on its way. A byte costs a msat.
struct Town {
    now: Instant,
    client: ClientCircuit,
    relays: Vec<RelayCircuit>,
    /// Between the client and relay 0, and between the relays.
    control_up: [Lane; 2],
    control_down: [Lane; 2],
    data_up: [Lane; 2],
    data_down: [Lane; 2],
    waiting_up: VecDeque<Vec<u8>>,
    waiting_down: VecDeque<Vec<u8>>,
    sent: [Vec<u8>; 2],
    got: [Vec<u8>; 2],
    paid: [u64; 2],
}

fn price() -> Price {
    let rate = Rate::from_msat_per_mib(1 << 20);
    Price {
        up: rate,
        down: rate,
    }
}

fn hop(index: usize) -> HopIndex {
    HopIndex::new(index).expect("two hops")
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.reading_every = ByteCount::new(10_000);
    limits.rekey.records = 5;
    limits.control_burst = u32::MAX;
    limits
}

/// A relay's answer to a handshake, and its machine.
fn answer(suite: Suite, handshake: &[u8], now: Instant) -> (RelayCircuit, Vec<u8>) {
    let relay = Identity::from_seed(IDENTITY).relay_id();
    let onion = OnionSecret::new([9; 32]);
    let seed = Seed::new([2; 32]);
    let incoming = IncomingCircuit::read(&relay, &onion, suite.code(), handshake, &seed)
        .expect("an honest handshake");
    let welcome = Welcome {
        quote: Quote::sign(price(), EXPIRES, &IDENTITY),
        balance: Msat::new(BALANCE),
        provisional: Msat::ZERO,
        result: None,
        mints: vec![],
    };
    incoming
        .welcome(&welcome, limits(), now)
        .expect("a short welcome")
}

fn record(wire: impl AsRef<[u8]>) -> Record {
    let (mut assembler, mut rest) = (Assembler::new(), wire.as_ref());
    loop {
        assembler.feed(&mut rest);
        if let Some(record) = assembler.take().expect("an honest record") {
            return record;
        }
    }
}

impl Town {
    fn new() -> Self {
        let plan = HopPlan {
            relay: Identity::from_seed(IDENTITY).relay_id(),
            onion_key: OnionSecret::new([9; 32]).public(),
            suite: Suite::AesGcm,
            link: NextHop {
                link_key: [0; 32],
                addresses: vec![([192, 0, 2, 7], 4433).into()],
            },
            ceiling: price(),
            account: AccountToken::new([1; 32]),
            upstream: Msat::new(BALANCE / 2),
            offer: None,
        };
        let seed = || Seed::new([1; 32]);
        let plans = vec![plan.clone(), plan];
        let (mut client, create) =
            ClientCircuit::start(plans, TopUpPolicy::default(), limits(), seed).expect("two hops");
        let now = Instant::ZERO;
        let (relay, welcome) = answer(create.suite, &create.handshake, now);
        client.created(now, NOW, &welcome).expect("a good answer");
        let mut town = Self {
            now,
            client,
            relays: vec![relay],
            control_up: Default::default(),
            control_down: Default::default(),
            data_up: Default::default(),
            data_down: Default::default(),
            waiting_up: VecDeque::new(),
            waiting_down: VecDeque::new(),
            sent: Default::default(),
            got: Default::default(),
            paid: [BALANCE; 2],
        };
        town.settle();
        assert!(town.client.is_ready());
        town
    }

    /// Everybody does what is possible without anything arriving.
    fn pump(&mut self) {
        let now = self.now;
        while let Some(output) = self.client.poll_output() {
            if let ClientOutput::Transmit(wire) = output {
                self.control_up[0].push_back(wire.to_vec());
            }
        }
        while let Some(body) = self.waiting_up.front() {
            let Ok(wire) = self.client.seal(now, &[body]) else {
                break;
            };
            self.waiting_up.pop_front();
            self.data_up[0].push_back(wire.to_vec());
            while let Some(reading) = self.client.poll_reading(now) {
                self.data_up[0].push_back(reading.to_vec());
            }
        }
        self.send_down();
        (0..self.relays.len()).for_each(|at| self.drain(at));
    }

    fn send_down(&mut self) {
        let (now, last) = (self.now, self.relays.len() - 1);
        while let Some(body) = self.waiting_down.front() {
            if !self.relays[last].may_send_down(now, RelayCircuit::stream_len(body.len())) {
                return;
            }
            let wire = self.relays[last]
                .stream_to_client(now, &[body])
                .expect("it may");
            self.waiting_down.pop_front();
            self.data_down[last].push_back(wire.to_vec());
            while let Some(reading) = self.relays[last].poll_reading(now) {
                self.data_down[last].push_back(reading.to_vec());
            }
        }
    }

    fn drain(&mut self, at: usize) {
        let now = self.now;
        while let Some(output) = self.relays[at].poll_output() {
            match output {
                RelayOutput::ToClient(wire) => self.control_down[at].push_back(wire.to_vec()),
                RelayOutput::ToNext(wire) => self.control_up[1].push_back(wire.to_vec()),
                RelayOutput::Event(RelayEvent::Extend {
                    suite, handshake, ..
                }) => {
                    let (next, welcome) = answer(suite, &handshake, now);
                    self.relays.push(next);
                    self.relays[at].extended(now, welcome);
                }
                RelayOutput::Event(RelayEvent::Pay {
                    number,
                    upstream,
                    offer,
                }) => {
                    let value = offer
                        .payment
                        .iter()
                        .fold(0, |sum, b| sum * 256 + u64::from(*b));
                    let credited = Msat::new(value);
                    self.relays[at].add_credit(credited, upstream);
                    let refused = vec![];
                    self.relays[at].pay_result(
                        now,
                        PayResult {
                            number,
                            credited,
                            refused,
                        },
                    );
                }
                RelayOutput::Event(RelayEvent::Closed(reason)) => panic!("closed: {reason}"),
            }
        }
    }

    /// One record of one lane arrives; false if nothing can move there.
    fn deliver(&mut self, lane: usize) -> bool {
        let (now, at) = (self.now, lane % 2);
        let queue = [
            &mut self.control_up,
            &mut self.control_down,
            &mut self.data_up,
            &mut self.data_down,
        ];
        let kind = lane / 2 % 4;
        let Some(wire) = queue[kind][at].front() else {
            return false;
        };
        let record = record(wire);
        if kind == 3
            && at == 1
            && !self.relays[0].may_send_down(now, RelayCircuit::wrapped_len(&record))
        {
            return false; // Held back until it is paid.
        }
        match (kind, at) {
            (0, _) => {
                self.control_up[at].pop_front();
                let done = self.relays[at].control_from_client(now, record);
                done.expect("an honest client");
            }
            (1, 0) => {
                self.control_down[0].pop_front();
                let done = self.client.control(now, NOW, record);
                done.expect("an honest relay");
            }
            (1, _) => {
                self.control_down[1].pop_front();
                self.relays[0].control_from_next(now, record);
            }
            (2, _) => self.data_up(at, record),
            (_, 0) => {
                self.data_down[0].pop_front();
                let body = self.client.open(now, record).expect("an honest relay");
                self.got[1].extend(body.unwrap_or_default());
            }
            _ => {
                self.data_down[1].pop_front();
                let wire = self.relays[0].data_from_next(now, record).expect("it may");
                self.data_down[0].push_back(wire.to_vec());
                while let Some(reading) = self.relays[0].poll_reading(now) {
                    self.data_down[0].push_back(reading.to_vec());
                }
            }
        }
        true
    }

    fn data_up(&mut self, at: usize, record: Record) {
        self.data_up[at].pop_front();
        let opened = self.relays[at].data_from_client(self.now, record);
        match opened.expect("an honest client") {
            FromClient::Forward(record) => self.data_up[1].push_back(record.into_wire().to_vec()),
            FromClient::Stream(body) => self.got[0].extend(body),
            FromClient::Nothing => {}
        }
    }

    /// Until nothing moves.
    fn settle(&mut self) {
        loop {
            self.pump();
            // Every lane is tried: no short cut.
            if (0..8).filter(|lane| self.deliver(*lane)).count() == 0 {
                return;
            }
        }
    }

    fn pay(&mut self, at: usize, up: u64, down: u64) {
        let offer = Offer {
            method: Offer::VOUCHERS,
            payment: (up + down).to_be_bytes().to_vec(),
        };
        self.paid[at] += up + down;
        self.client
            .pay(self.now, hop(at), offer, Msat::new(up), None);
    }

    fn operate(&mut self, [what, a, b]: [u8; 3]) {
        let len = (usize::from(a) * 256 + usize::from(b)) % (MAX_BODY + 1);
        let body = || vec![what; len];
        match what % 6 {
            0 => {
                self.sent[0].extend(body());
                self.waiting_up.push_back(body());
            }
            1 => {
                self.sent[1].extend(body());
                self.waiting_down.push_back(body());
            }
            2 => self.pay(
                usize::from(what / 6) % 2,
                u64::from(a) * 100,
                u64::from(b) * 100,
            ),
            3 => self.now = self.now + Duration::from_secs(len as u64),
            _ => {
                self.deliver(a.into());
            }
        }
        self.pump();
        self.check();
    }

    fn check(&self) {
        for (got, sent) in self.got.iter().zip(&self.sent) {
            assert!(sent.starts_with(got), "bytes in order");
        }
        for (at, relay) in self.relays.iter().enumerate() {
            let (ours, theirs) = (
                relay.credit(),
                self.client.credit(hop(at)).expect("it stands"),
            );
            assert!(ours.up.used() <= ours.up.paid() && ours.down.used() <= ours.down.paid());
            assert!(theirs.up.paid() <= ours.up.paid());
            assert!(ours.up.carried() <= theirs.up.carried());
            assert!(theirs.down.carried() <= ours.down.carried());
        }
    }

    /// Pays for everything and lets it arrive: then the books agree and no money went.
    fn finish(&mut self) {
        self.settle();
        let enough = 2 * (self.sent[0].len() + self.sent[1].len()) as u64 + (1 << 20);
        (0..2).for_each(|at| self.pay(at, enough, enough));
        self.settle();
        assert!(self.got == self.sent, "bytes were lost");
        for at in 0..2 {
            let credit = *self.relays[at].credit();
            assert_eq!(Some(&credit), self.client.credit(hop(at)));
            assert_eq!(credit.paid(), Msat::new(self.paid[at]));
        }
    }
}

/// Whatever is sent, paid and delivered in whatever order: bytes arrive once and in order, nothing
/// is carried unpaid, and at the end both ends have the same books.
pub fn circuit_operations(data: &[u8]) {
    let mut town = Town::new();
    let (operations, _) = data.as_chunks::<3>();
    for operation in operations.iter().take(200) {
        town.operate(*operation);
    }
    town.finish();
}

/// Bytes of a lane that nobody sealed: no machine takes a record out of them, and a relay that
/// passes them on adds its layer and nothing else.
pub fn circuit_lane(data: &[u8]) {
    let Some((&whom, mut lane)) = data.split_first() else {
        return;
    };
    let mut town = Town::new();
    let (now, mut assembler) = (town.now, Assembler::new());
    while !lane.is_empty() {
        assembler.feed(&mut lane);
        let Ok(taken) = assembler.take() else { return };
        let Some(record) = taken else { continue };
        let relay = &mut town.relays[0];
        match whom % 6 {
            0 => assert!(relay.control_from_client(now, record).is_err()),
            1 => assert!(relay.data_from_client(now, record).is_err()),
            2 => assert!(town.client.control(now, NOW, record).is_err()),
            3 => assert!(town.client.open(now, record).is_err()),
            4 => relay.control_from_next(now, record),
            _ => {
                let len = RelayCircuit::wrapped_len(&record);
                let before = relay.credit().down.carried();
                if let Ok(wire) = relay.data_from_next(now, record) {
                    assert_eq!(wire.len() as u64, len.get() + 2);
                    let after = before.saturating_add(len);
                    assert_eq!(relay.credit().down.carried(), after);
                }
            }
        }
        assert!(town.relays[0].credit().up.carried().is_zero());
    }
}
