//! A relay of the network in a variable: its keys, its price, and a ledger in memory.

use crate::net::UNIX;
use coinfuse_circuit::*;
use coinfuse_wire::{Decode, Instant, Msat, RelayId};
use core::time::Duration;
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::collections::{HashMap, VecDeque};

/// The reason that the ledger gives for a coin of value 0.
pub(crate) const WORTHLESS: u8 = 9;

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
    pub(crate) account: Option<AccountId>,
    /// Payments that are not on disk: the result, the upstream share, whether served ahead.
    pub(crate) unwritten: Vec<(PayResult, Msat, bool)>,
    pub(crate) held: VecDeque<Record>,
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

    pub(crate) fn pay(&mut self, number: PaymentNumber, upstream: Msat, offer: &Offer) {
        let result = judge(number, offer);
        let ahead = self.serves_ahead;
        if ahead {
            self.machine().add_credit(result.credited, upstream);
        }
        self.unwritten.push((result, upstream, ahead));
    }

    pub(crate) fn write(&mut self, now: Instant) {
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
