//! A network in a variable: a client, relays with a ledger each, and the lanes between them as
//! queues of bytes that are cut anywhere. Time stands still unless a test moves it.

use bytes::{Buf, BytesMut};
use coinfuse_circuit::*;
use coinfuse_wire::{HopIndex, Instant, Msat, Rate, RelayId, UnixTime};
use core::time::Duration;
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::collections::{HashMap, VecDeque};

pub(crate) const UNIX: UnixTime = UnixTime::from_secs(1_800_000_000);
/// The reason that the ledger gives for a coin of value 0.
pub(crate) const WORTHLESS: u8 = 9;

pub(crate) fn hop(index: usize) -> HopIndex {
    HopIndex::new(index).unwrap()
}

/// A payment of coins: eight bytes each, its value.
pub(crate) fn coins(values: &[u64]) -> Offer {
    Offer {
        method: Offer::VOUCHERS,
        payment: values
            .iter()
            .flat_map(|value| value.to_be_bytes())
            .collect(),
    }
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

pub(crate) struct Relay {
    pub(crate) identity: [u8; 32],
    pub(crate) onion: OnionSecret,
    pub(crate) quote: Quote,
    /// Money is used before it is on disk.
    pub(crate) serves_ahead: bool,
    /// Nothing gets to disk.
    pub(crate) disk_is_stuck: bool,
    pub(crate) refuses_extension: Option<ExtendRefusal>,
    pub(crate) accounts: HashMap<AccountId, Msat>,
    pub(crate) limits: Limits,
    pub(crate) machine: Option<RelayCircuit>,
    account: Option<AccountId>,
    /// Payments that are not on disk: the result, the upstream share, whether served ahead.
    unwritten: Vec<(PayResult, Msat, bool)>,
    held: VecDeque<Record>,
    pub(crate) to_client: VecDeque<Vec<u8>>,
    pub(crate) stream: Vec<u8>,
    pub(crate) closed: Option<CloseReason>,
    pub(crate) error: Option<RelayCircuitError>,
}

pub(crate) fn relay_id(identity: &[u8; 32]) -> RelayId {
    let pair = Ed25519KeyPair::from_seed_unchecked(identity).unwrap();
    RelayId::new(pair.public_key().as_ref().try_into().unwrap())
}

impl Relay {
    pub(crate) fn new(number: u8, price: Price, limits: Limits) -> Self {
        let identity = [100 + number; 32];
        Self {
            identity,
            onion: OnionSecret::new([50 + number; 32]),
            quote: Quote::sign(
                price,
                UNIX.saturating_add(Duration::from_secs(60)),
                &identity,
            ),
            serves_ahead: true,
            disk_is_stuck: false,
            refuses_extension: None,
            accounts: HashMap::new(),
            limits,
            machine: None,
            account: None,
            unwritten: Vec::new(),
            held: VecDeque::new(),
            to_client: VecDeque::new(),
            stream: Vec::new(),
            closed: None,
            error: None,
        }
    }

    pub(crate) fn id(&self) -> RelayId {
        relay_id(&self.identity)
    }

    pub(crate) fn machine(&mut self) -> &mut RelayCircuit {
        self.machine.as_mut().unwrap()
    }

    /// Answers the first bytes of a control lane.
    pub(crate) fn create(
        &mut self,
        opening: &[u8],
        now: Instant,
    ) -> Result<Vec<u8>, CreateRefusal> {
        use coinfuse_wire::Decode;
        let (header, handshake) = opening.split_at(LaneHeader::len_from_kind(opening[0]).unwrap());
        let LaneHeader::Control { suite, .. } = LaneHeader::from_bytes(header).unwrap() else {
            panic!("a data lane cannot open a circuit");
        };
        let incoming = IncomingCircuit::read(
            &self.id(),
            &self.onion,
            suite,
            handshake,
            &Seed::new([3; 32]),
        )?;
        let account = incoming.hello().account.id();
        let offer = incoming.hello().offer.clone();
        let first = offer.map(|offer| judge(PaymentNumber::FIRST, &offer));
        let ahead = first.as_ref().filter(|_| self.serves_ahead);
        let welcome = Welcome {
            quote: self.quote.clone(),
            balance: self.accounts.remove(&account).unwrap_or_default(),
            provisional: ahead.map_or(Msat::ZERO, |result| result.credited),
            result: first.clone().filter(|result| !result.refused.is_empty()),
            mints: b"https://mint.example".to_vec(),
        };
        let (machine, answer) = incoming
            .welcome(&welcome, self.limits, now)
            .map_err(|_| CreateRefusal::Malformed)?;
        self.machine = Some(machine);
        self.account = Some(account);
        self.unwritten
            .extend(first.map(|result| (result, Msat::ZERO, self.serves_ahead)));
        Ok(answer)
    }

    fn pay(&mut self, number: PaymentNumber, upstream: Msat, offer: &Offer) {
        let result = judge(number, offer);
        let ahead = self.serves_ahead;
        if ahead {
            self.machine().add_credit(result.credited, upstream);
        }
        self.unwritten.push((result, upstream, ahead));
    }

    fn write(&mut self, now: Instant) {
        if self.disk_is_stuck {
            return;
        }
        for (result, upstream, served) in core::mem::take(&mut self.unwritten) {
            if !served {
                self.machine().add_credit(result.credited, upstream);
            }
            self.machine().pay_result(now, result);
        }
    }

    /// The circuit ends; what is left is the account's.
    pub(crate) fn hang_up(&mut self) {
        if let (Some(machine), Some(account)) = (self.machine.take(), self.account.take()) {
            self.accounts.insert(account, machine.credit().left());
        }
    }
}

fn judge(number: PaymentNumber, offer: &Offer) -> PayResult {
    let mut result = PayResult {
        number,
        credited: Msat::ZERO,
        refused: vec![],
    };
    for (index, coin) in (0..).zip(offer.payment.chunks_exact(8)) {
        match u64::from_be_bytes(coin.try_into().unwrap()) {
            0 => result.refused.push(RefusedItem {
                index,
                reason: WORTHLESS,
            }),
            value => result.credited = result.credited.saturating_add(Msat::new(value)),
        }
    }
    result
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
        loop {
            self.pump();
            let busy = self.busy();
            if busy.is_empty() || self.error.is_some() {
                return;
            }
            let pick = self.cuts.below(busy.len());
            let n = 1 + self.cuts.below(40_000);
            self.deliver(busy[pick], n);
        }
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
