use crate::net::{Net, Setup, hop, price, text};
use coinfuse_circuit::{MAX_BODY, Suite};
use coinfuse_wire::{ByteCount, Msat};
use core::time::Duration;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Operation {
    Up(usize),
    Down(usize),
    Pay {
        hop: usize,
        up: u64,
        down: u64,
    },
    /// So many bytes of the lane that is so many'th among those with something on its way.
    Deliver {
        lane: usize,
        bytes: usize,
    },
    Wait(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let amount = 0u64..60_000;
    prop_oneof![
        2 => (0..=MAX_BODY).prop_map(Operation::Up),
        2 => (0..=MAX_BODY).prop_map(Operation::Down),
        2 => (0usize..4, amount.clone(), amount).prop_map(|(hop, up, down)| Operation::Pay { hop, up, down }),
        6 => (any::<usize>(), 1usize..30_000).prop_map(|(lane, bytes)| Operation::Deliver { lane, bytes }),
        1 => (0u64..2000).prop_map(Operation::Wait),
    ]
}

/// What must come out.
#[derive(Default)]
struct Model {
    up: Vec<u8>,
    down: Vec<u8>,
    paid: [u64; 4],
}

impl Model {
    fn apply(&mut self, net: &mut Net, operation: &Operation) {
        match *operation {
            Operation::Up(len) => {
                let body = text(len);
                self.up.extend(&body);
                net.to_send.push_back(body);
            }
            Operation::Down(len) => {
                let body = text(len);
                self.down.extend(&body);
                net.last().to_client.push_back(body);
            }
            Operation::Pay { hop, up, down } => {
                let hop = hop % net.relays.len();
                self.paid[hop] += up + down;
                net.pay(hop, up, down);
            }
            Operation::Deliver { lane, bytes } => {
                let busy = net.busy();
                if !busy.is_empty() {
                    net.deliver(busy[lane % busy.len()], bytes);
                }
            }
            Operation::Wait(secs) => net.now = net.now + Duration::from_secs(secs),
        }
        net.pump();
    }

    /// At any time: what arrived is a beginning of what was sent, and nobody carried unpaid bytes.
    fn check(&self, net: &mut Net) {
        assert_eq!(net.error, None);
        assert!(self.up.starts_with(&net.last().stream));
        assert!(self.down.starts_with(&net.received));
        for at in 0..net.relays.len() {
            assert_eq!(net.relays[at].error, None);
            let relay = *net.relays[at].machine().credit();
            let client = *net.client.credit(hop(at)).unwrap();
            assert!(relay.up.used() <= relay.up.paid());
            assert!(relay.down.used() <= relay.down.paid());
            assert!(client.up.paid() <= relay.up.paid());
            assert!(relay.up.carried() <= client.up.carried());
            assert!(client.down.carried() <= relay.down.carried());
        }
    }

    /// When nothing moves any more and everything is paid: all of it arrived, and both ends have
    /// the same books, in which no money appeared or went.
    fn check_end(&mut self, net: &mut Net, balance: u64) {
        net.run();
        for at in 0..net.relays.len() {
            let enough = 3_000_000;
            self.paid[at] += 2 * enough;
            net.pay(at, enough, enough);
        }
        net.run();
        assert_eq!((net.error, net.blocked), (None, None));
        assert!(net.last().stream == self.up && net.received == self.down);
        net.assert_same_books();
        for at in 0..net.relays.len() {
            let credit = *net.relays[at].machine().credit();
            let expected = Msat::new(balance + self.paid[at]);
            assert_eq!(credit.paid(), expected);
            assert_eq!(credit.used().saturating_add(credit.left()), expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bytes_and_money_are_conserved(
        operations in vec(operation(), 1..120),
        suites in vec(prop_oneof![Just(Suite::AesGcm), Just(Suite::ChaChaPoly)], 1..=4),
        rate in prop_oneof![Just(0), Just(1), Just(1000), Just(1 << 20)],
        rekey in 1u64..20,
        balance in 0u64..100_000,
        (serves_ahead, reading_every, cuts) in (any::<bool>(), 1u64..50_000, any::<u64>()),
    ) {
        let mut setup = Setup {
            suites,
            price: price(rate),
            balance,
            upstream: balance / 2,
            cuts,
            ..Setup::default()
        };
        setup.limits.reading_every = ByteCount::new(reading_every);
        setup.limits.rekey.records = rekey;
        setup.limits.control_burst = 100_000;
        let mut relays = setup.relays();
        relays.iter_mut().for_each(|relay| relay.serves_ahead = serves_ahead);
        let mut net = setup.start(relays, |_| {});
        net.run();
        prop_assert!(net.client.is_ready());
        let mut model = Model::default();
        for operation in &operations {
            model.apply(&mut net, operation);
            model.check(&mut net);
        }
        model.check_end(&mut net, balance);
    }
}
