//! One hop, as its client sees it.

use super::topup::{Dice, Direction, Filler, TopUpPolicy};
use crate::control::{NextHop, Offer, PayResult, PaymentNumber};
use crate::credit::Credit;
use crate::handshake::{AccountToken, Hello, Welcome};
use crate::session::{Initiator, Session, SessionError};
use crate::{OnionKey, Seed, Suite};
use coinfuse_wire::{ByteCount, Encode, Msat, Price, RelayId};
use std::collections::BTreeMap;

/// What a client has to know of a relay to make it a hop; all but the payment is in the relay's
/// descriptor.
#[derive(Debug, Clone)]
pub struct HopPlan {
    /// The relay's identity.
    pub relay: RelayId,
    /// Its onion key.
    pub onion_key: OnionKey,
    /// The suite to use, which the relay must speak.
    pub suite: Suite,
    /// How the hop before reaches it; of no use for the first hop.
    pub link: NextHop,
    /// The price above which the circuit is not made.
    pub ceiling: Price,
    /// The account that pays.
    pub account: AccountToken,
    /// The share of the account's balance and first payment that goes upstream.
    pub upstream: Msat,
    /// The first payment.
    pub offer: Option<Offer>,
}

impl HopPlan {
    /// The first message of the handshake with this hop.
    pub(super) fn start(&self, seed: &Seed) -> Result<(Initiator, Vec<u8>), SessionError> {
        let hello = Hello {
            account: self.account,
            upstream: self.upstream,
            offer: self.offer.clone(),
        };
        Initiator::start(
            self.suite,
            &self.relay,
            &self.onion_key,
            &hello.to_bytes(),
            seed,
        )
    }
}

/// A hop whose session stands.
#[derive(Debug)]
pub(super) struct Hop {
    pub(super) session: Session,
    pub(super) credit: Credit,
    /// Upstream bytes at which the next reading is said.
    pub(super) next_reading: ByteCount,
    up: Filler,
    down: Filler,
    payments: BTreeMap<PaymentNumber, Payment>,
    last_number: PaymentNumber,
}

/// A payment whose result has not come.
#[derive(Debug)]
struct Payment {
    upstream: Msat,
    /// What of it is in the pools already.
    served: Msat,
    /// The pool that asked for it, if one did.
    asked: Option<Direction>,
}

impl Hop {
    pub(super) fn new(
        session: Session,
        welcome: &Welcome,
        plan: &HopPlan,
        policy: &TopUpPolicy,
        reading_every: ByteCount,
        dice: &mut Dice,
    ) -> Self {
        let mut credit = Credit::new(welcome.quote.price);
        credit.add(
            welcome.balance.saturating_add(welcome.provisional),
            plan.upstream,
        );
        // What the welcome did not serve of a first payment comes with its result, and goes
        // downstream.
        let first = plan.offer.is_some().then_some(Payment {
            upstream: Msat::ZERO,
            served: welcome.provisional,
            asked: None,
        });
        Self {
            session,
            credit,
            next_reading: reading_every,
            up: Filler::new(policy, Direction::Up, dice),
            down: Filler::new(policy, Direction::Down, dice),
            payments: first
                .into_iter()
                .map(|payment| (PaymentNumber::FIRST, payment))
                .collect(),
            last_number: PaymentNumber::FIRST,
        }
    }

    /// The top-up that is due, if any: which pool, and how much.
    pub(super) fn wants(&mut self) -> Option<(Direction, Msat)> {
        if let Some(amount) = self.down.wants(&self.credit.down) {
            return Some((Direction::Down, amount));
        }
        self.up
            .wants(&self.credit.up)
            .map(|amount| (Direction::Up, amount))
    }

    /// Notes a payment that is about to be sent.
    pub(super) fn note_payment(
        &mut self,
        upstream: Msat,
        asked: Option<Direction>,
    ) -> PaymentNumber {
        self.last_number.0 += 1;
        let payment = Payment {
            upstream,
            served: Msat::ZERO,
            asked,
        };
        self.payments.insert(self.last_number, payment);
        self.last_number
    }

    /// Applies a payment's result; false if no payment of this number awaits one.
    #[must_use]
    pub(super) fn apply(&mut self, result: &PayResult, dice: &mut Dice) -> bool {
        let Some(payment) = self.payments.remove(&result.number) else {
            return false;
        };
        let fresh = result.credited.saturating_sub(payment.served);
        self.credit.add(fresh, payment.upstream);
        self.settle(payment.asked, !result.credited.is_zero(), dice);
        true
    }

    /// A top-up that was asked for has ended.
    pub(super) fn settle(&mut self, asked: Option<Direction>, paid: bool, dice: &mut Dice) {
        match asked {
            Some(Direction::Up) => self.up.settle(paid, dice),
            Some(Direction::Down) => self.down.settle(paid, dice),
            None => {}
        }
    }
}
