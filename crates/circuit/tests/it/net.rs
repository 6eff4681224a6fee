//! A network in a variable: a client, relays with a ledger each, and the lanes between them as
//! queues of bytes that are cut anywhere. Time stands still unless a test moves it.

pub(crate) use crate::relay::{Relay, WORTHLESS, coins};
use bytes::{Buf, BytesMut};
use coinfuse_circuit::*;
use coinfuse_wire::{HopIndex, Instant, Msat, Rate, UnixTime};
use std::collections::VecDeque;

pub(crate) const UNIX: UnixTime = UnixTime::from_secs(1_800_000_000);

pub(crate) fn hop(index: usize) -> HopIndex {
    HopIndex::new(index).unwrap()
}

/// One direction of one stream: what is on its way, and the far end's assembler.
#[derive(Default)]
pub(crate) struct Lane {
    pub(crate) bytes: BytesMut,
    assembler: Assembler,
}

impl Lane {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// At most `n` bytes arrive; the records that they complete.
    fn arrive(&mut self, n: usize) -> Vec<Record> {
        let mut chunk = self.bytes.split_to(n.min(self.bytes.len()));
        let mut records = Vec::new();
        loop {
            self.assembler.feed(&mut chunk);
            match self.assembler.take().unwrap() {
                Some(record) => records.push(record),
                None if !chunk.has_remaining() => return records,
                None => {}
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ControlUp,
    ControlDown,
    DataUp,
    DataDown,
}

const WAYS: [Way; 4] = [Way::ControlUp, Way::ControlDown, Way::DataUp, Way::DataDown];

/// Link `i` is between the client (0) or relay `i - 1`, and relay `i`.
#[derive(Default)]
pub(crate) struct Link([Lane; 4]);

impl Link {
    pub(crate) fn lane(&mut self, way: Way) -> &mut Lane {
        &mut self.0[way as usize]
    }
}

/// What a network is made of.
pub(crate) struct Setup {
    /// One hop for each.
    pub(crate) suites: Vec<Suite>,
    pub(crate) price: Price,
    /// On every account before the circuit.
    pub(crate) balance: u64,
    pub(crate) upstream: u64,
    pub(crate) offer: Option<Offer>,
    pub(crate) policy: TopUpPolicy,
    pub(crate) limits: Limits,
    /// Answer every wish for a top-up.
    pub(crate) pays: bool,
    /// Where lanes are cut.
    pub(crate) cuts: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            suites: vec![Suite::AesGcm; 3],
            price: price(1 << 20),
            balance: 2_000_000,
            upstream: 1_000_000,
            offer: None,
            policy: TopUpPolicy::default(),
            limits: Limits::default(),
            pays: false,
            cuts: 1,
        }
    }
}

/// At 2^20 msat per MiB a byte costs a msat.
pub(crate) fn price(msat_per_mib: u32) -> Price {
    let rate = Rate::from_msat_per_mib(msat_per_mib);
    Price {
        up: rate,
        down: rate,
    }
}

pub(crate) fn plan(relay: &Relay, suite: Suite, setup: &Setup, number: u8) -> HopPlan {
    HopPlan {
        relay: relay.id(),
        onion_key: relay.onion.public(),
        suite,
        link: NextHop {
            link_key: [number; 32],
            addresses: vec!["192.0.2.7:4433".parse().unwrap()],
        },
        ceiling: setup.price,
        account: AccountToken::new([number; 32]),
        upstream: Msat::new(setup.upstream),
        offer: setup.offer.clone(),
    }
}

impl Setup {
    pub(crate) fn hops(n: usize) -> Self {
        Self {
            suites: vec![Suite::AesGcm; n],
            ..Self::default()
        }
    }

    pub(crate) fn relays(&self) -> Vec<Relay> {
        let relay = |number: usize| {
            let mut relay = Relay::new(number as u8, self.price, self.limits);
            let token = AccountToken::new([number as u8; 32]);
            relay.accounts.insert(token.id(), Msat::new(self.balance));
            relay
        };
        (0..self.suites.len()).map(relay).collect()
    }

    /// A circuit that stands.
    pub(crate) fn build(&self) -> Net {
        let mut net = self.start(self.relays(), |_| {});
        net.run();
        assert_eq!(net.error, None);
        assert!(net.client.is_ready());
        net
    }

    /// A circuit whose first handshake is answered; `change` may spoil the plans.
    pub(crate) fn start(&self, relays: Vec<Relay>, change: impl FnOnce(&mut Vec<HopPlan>)) -> Net {
        let mut plans: Vec<_> = relays
            .iter()
            .zip(&self.suites)
            .zip(0..)
            .map(|((relay, suite), number)| plan(relay, *suite, self, number))
            .collect();
        change(&mut plans);
        let mut seeds = 0;
        let (client, create) = ClientCircuit::start(plans, self.policy, self.limits, || {
            seeds += 1;
            Seed::new([seeds; 32])
        })
        .unwrap();
        let mut net = Net {
            now: Instant::ZERO,
            client,
            links: relays.iter().map(|_| Link::default()).collect(),
            relays,
            events: Vec::new(),
            to_send: VecDeque::new(),
            received: Vec::new(),
            blocked: None,
            error: None,
            refused: None,
            pays: self.pays,
            flights: 1,
            cuts: Cuts(self.cuts | 1),
        };
        match net.relays[0].create(&opening(create.suite, &create.handshake), net.now) {
            Ok(answer) => net.error = net.client.created(net.now, UNIX, &answer).err(),
            Err(refusal) => net.refused = Some(refusal),
        }
        net
    }
}

/// The first bytes of a control lane.
fn opening(suite: Suite, handshake: &[u8]) -> Vec<u8> {
    use coinfuse_wire::Encode;
    let header = LaneHeader::Control {
        circuit: CircuitNumber(7),
        suite: suite.code(),
        handshake: handshake.len() as u16,
    };
    [&header.to_bytes()[..], handshake].concat()
}

pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) client: ClientCircuit,
    pub(crate) relays: Vec<Relay>,
    pub(crate) links: Vec<Link>,
    /// What the client was told and nobody answered.
    pub(crate) events: Vec<ClientEvent>,
    pub(crate) to_send: VecDeque<Vec<u8>>,
    pub(crate) received: Vec<u8>,
    pub(crate) blocked: Option<Blocked>,
    pub(crate) error: Option<ClientCircuitError>,
    pub(crate) refused: Option<CreateRefusal>,
    pub(crate) pays: bool,
    /// How often the client had to speak in the control lane.
    pub(crate) flights: usize,
    cuts: Cuts,
}

impl Net {
    pub(crate) fn last(&mut self) -> &mut Relay {
        self.relays.last_mut().unwrap()
    }

    /// Until nothing moves any more, or the client gave up.
    pub(crate) fn run(&mut self) {
        for _ in 0..100_000 {
            self.pump();
            let busy = self.busy();
            if busy.is_empty() || self.error.is_some() {
                return;
            }
            let pick = self.cuts.below(busy.len());
            let n = 1 + self.cuts.below(40_000);
            self.deliver(busy[pick], n);
        }
        panic!("the network does not come to rest");
    }

    /// The lanes with something on its way.
    pub(crate) fn busy(&mut self) -> Vec<(usize, Way)> {
        let all = (0..self.links.len()).flat_map(|link| WAYS.map(|way| (link, way)));
        all.filter(|(link, way)| !self.links[*link].lane(*way).bytes.is_empty())
            .collect()
    }

    pub(crate) fn deliver(&mut self, (link, way): (usize, Way), n: usize) {
        for record in self.links[link].lane(way).arrive(n) {
            match way {
                Way::ControlUp => self.control_up(link, record),
                Way::DataUp => self.data_up(link, record),
                Way::ControlDown => self.control_down(link, record),
                Way::DataDown => self.data_down(link, record),
            }
        }
    }

    fn control_up(&mut self, at: usize, record: Record) {
        let now = self.now;
        if let Err(error) = self.relays[at].machine().control_from_client(now, record) {
            self.relays[at].error = Some(error);
            self.relays[at].machine().close(now, error.close_reason());
        }
    }

    fn data_up(&mut self, at: usize, record: Record) {
        let now = self.now;
        match self.relays[at].machine().data_from_client(now, record) {
            Ok(FromClient::Forward(record)) => {
                self.links[at + 1]
                    .lane(Way::DataUp)
                    .put(&record.into_wire());
            }
            Ok(FromClient::Stream(body)) => self.relays[at].stream.extend_from_slice(&body),
            Ok(FromClient::Nothing) => {}
            Err(error) => {
                self.relays[at].error = Some(error);
                self.relays[at].machine().close(now, error.close_reason());
            }
        }
    }

    fn control_down(&mut self, link: usize, record: Record) {
        match link.checked_sub(1) {
            Some(relay) => self.relays[relay]
                .machine()
                .control_from_next(self.now, record),
            None => self.error = self.client.control(self.now, UNIX, record).err(),
        }
    }

    fn data_down(&mut self, link: usize, record: Record) {
        match link.checked_sub(1) {
            Some(relay) => self.relays[relay].held.push_back(record),
            None => match self.client.open(self.now, record) {
                Ok(body) => self.received.extend_from_slice(&body.unwrap_or_default()),
                Err(error) => self.error = Some(error),
            },
        }
    }

    /// Everybody does what can be done without anything arriving.
    pub(crate) fn pump(&mut self) {
        self.pump_client();
        for at in 0..self.relays.len() {
            if self.relays[at].machine.is_some() {
                self.drain_relay(at);
                self.relays[at].write(self.now);
                self.pump_relay(at);
                self.drain_relay(at);
            }
        }
    }

    fn pump_client(&mut self) {
        self.drain_client();
        self.blocked = None;
        while let Some(body) = self.to_send.front() {
            match self.client.seal(self.now, &[body]) {
                Ok(wire) => self.links[0].lane(Way::DataUp).put(&wire),
                Err(blocked) => {
                    self.blocked = Some(blocked);
                    break;
                }
            }
            self.to_send.pop_front();
            while let Some(reading) = self.client.poll_reading(self.now) {
                self.links[0].lane(Way::DataUp).put(&reading);
            }
        }
        self.drain_client();
    }

    fn drain_client(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                ClientOutput::Transmit(wire) => {
                    self.flights += 1;
                    self.links[0].lane(Way::ControlUp).put(&wire);
                }
                ClientOutput::Event(ClientEvent::TopUp {
                    hop,
                    direction,
                    amount,
                }) if self.pays => {
                    let upstream = match direction {
                        Direction::Up => amount,
                        Direction::Down => Msat::ZERO,
                    };
                    let offer = coins(&[amount.get()]);
                    self.client
                        .pay(self.now, hop, offer, upstream, Some(direction));
                }
                ClientOutput::Event(event) => self.events.push(event),
            }
        }
    }

    fn pump_relay(&mut self, at: usize) {
        let (now, relay) = (self.now, &mut self.relays[at]);
        let lane = self.links[at].lane(Way::DataDown);
        while let Some(record) = relay.held.front() {
            let len = RelayCircuit::wrapped_len(record);
            let machine = relay.machine.as_mut().unwrap();
            if !machine.may_send_down(now, len) {
                return;
            }
            let record = relay.held.pop_front().unwrap();
            lane.put(&machine.data_from_next(now, record).unwrap());
            while let Some(reading) = machine.poll_reading(now) {
                lane.put(&reading);
            }
        }
        while let Some(body) = relay.to_client.front() {
            let machine = relay.machine.as_mut().unwrap();
            if !machine.may_send_down(now, RelayCircuit::stream_len(body.len())) {
                return;
            }
            lane.put(&machine.stream_to_client(now, &[body]).unwrap());
            relay.to_client.pop_front();
            while let Some(reading) = machine.poll_reading(now) {
                lane.put(&reading);
            }
        }
    }

    fn drain_relay(&mut self, at: usize) {
        while let Some(output) = self.relays[at].machine().poll_output() {
            match output {
                RelayOutput::ToClient(wire) => self.links[at].lane(Way::ControlDown).put(&wire),
                RelayOutput::ToNext(wire) => self.links[at + 1].lane(Way::ControlUp).put(&wire),
                RelayOutput::Event(RelayEvent::Pay {
                    number,
                    upstream,
                    offer,
                }) => self.relays[at].pay(number, upstream, &offer),
                RelayOutput::Event(RelayEvent::Closed(reason)) => {
                    self.relays[at].closed = Some(reason);
                }
                RelayOutput::Event(RelayEvent::Extend {
                    suite, handshake, ..
                }) => self.extend(at, suite, &handshake),
            }
        }
    }

    fn extend(&mut self, at: usize, suite: Suite, handshake: &[u8]) {
        let now = self.now;
        let answer = match self.relays[at].refuses_extension {
            Some(reason) => Err(reason),
            None => self.relays[at + 1]
                .create(&opening(suite, handshake), now)
                .map_err(CreateRefusal::as_extend_refusal),
        };
        match answer {
            Ok(answer) => self.relays[at].machine().extended(now, answer),
            Err(reason) => self.relays[at].machine().extend_failed(now, reason),
        }
    }

    /// The client sends `bytes` in records of at most `body`.
    pub(crate) fn send_up(&mut self, bytes: &[u8], body: usize) {
        self.to_send.extend(bytes.chunks(body).map(<[u8]>::to_vec));
    }

    /// The last hop sends `bytes` in records of at most `body`.
    pub(crate) fn send_down(&mut self, bytes: &[u8], body: usize) {
        self.last()
            .to_client
            .extend(bytes.chunks(body).map(<[u8]>::to_vec));
    }

    /// The client pays a hop, so much upstream and so much downstream.
    pub(crate) fn pay(&mut self, at: usize, up: u64, down: u64) -> PaymentNumber {
        self.client
            .pay(self.now, hop(at), coins(&[up + down]), Msat::new(up), None)
            .unwrap()
    }

    /// How often the client was told that this hop paused.
    pub(crate) fn pauses(&self, at: usize) -> usize {
        let paused =
            |event: &&ClientEvent| matches!(event, ClientEvent::Paused { hop: h } if *h == hop(at));
        self.events.iter().filter(paused).count()
    }

    pub(crate) fn closed_because(&self) -> Option<(HopIndex, CloseReason)> {
        self.events.iter().find_map(|event| match event {
            ClientEvent::Closed { hop, reason } => Some((*hop, *reason)),
            _ => None,
        })
    }

    /// Nothing is on its way: then both ends must have the same money and the same bytes.
    pub(crate) fn assert_same_books(&mut self) {
        for at in 0..self.relays.len() {
            let client = *self.client.credit(hop(at)).unwrap();
            assert_eq!(client, *self.relays[at].machine().credit(), "hop {at}");
        }
    }
}

/// Where the lanes are cut and which goes first: arbitrary, and the same at every run.
pub(crate) struct Cuts(u64);

impl Cuts {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// Bytes that differ from place to place.
pub(crate) fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}
