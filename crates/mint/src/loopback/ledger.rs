//! The books of the loopback network: who has invoiced, paid and holds what.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bitcoin::hashes::{Hash as _, sha256};
use coinfuse_wire::{Msat, UnixTime};
use tokio::sync::watch;

use super::line::{Hash, NodeId, Preimage, Refusal, Request, Response};

/// Invoices kept at once. Unpaid ones leave when they have expired and room is needed.
const MAX_INVOICES: usize = 100_000;
/// Nodes known at once.
const MAX_NODES: usize = 10_000;

/// The books, behind a lock, and a bell that rings at every payment.
pub(super) struct Ledger {
    state: Mutex<State>,
    bell: watch::Sender<()>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State::default()),
            bell: watch::Sender::new(()),
        }
    }

    pub(super) fn handle(&self, now: UnixTime, request: Request) -> Response {
        let response = self.lock().handle(now, request);
        if matches!(response, Response::Paid { .. }) {
            self.bell.send_replace(());
        }
        response
    }

    /// Changes whenever something has been paid.
    pub(super) fn bell(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }

    /// The payment which `node` received as number `index`, counting from 0.
    pub(super) fn received(&self, node: &NodeId, index: u64) -> Option<(Hash, Msat)> {
        self.lock().received(node, index)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of ours panics while it holds the lock; if it did, each change is complete by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The books themselves: no clock, no lock, no I/O.
#[derive(Default)]
struct State {
    invoices: HashMap<Hash, Invoice>,
    nodes: HashMap<NodeId, Account>,
}

struct Invoice {
    payee: NodeId,
    preimage: Preimage,
    amount: Msat,
    expires: UnixTime,
    payer: Option<NodeId>,
}

#[derive(Default)]
struct Account {
    balance: Msat,
    received: Vec<Hash>,
}

impl State {
    fn handle(&mut self, now: UnixTime, request: Request) -> Response {
        let result = match request {
            Request::Hello | Request::Watch { .. } => Ok(Response::Done),
            Request::Grant { node, amount } => self.grant(node, amount),
            Request::Register {
                hash,
                preimage,
                amount,
                expires,
                payee,
            } => {
                let invoice = Invoice {
                    payee,
                    preimage,
                    amount,
                    expires,
                    payer: None,
                };
                self.register(now, hash, invoice)
            }
            Request::Pay {
                hash,
                amount,
                payer,
            } => self.pay(now, hash, amount, payer),
            Request::Invoice { hash } => Ok(self.invoice(&hash)),
            Request::Balance { node } => Ok(self.balance(&node)),
        };
        result.unwrap_or_else(Response::Refused)
    }

    fn received(&self, node: &NodeId, index: u64) -> Option<(Hash, Msat)> {
        let index = usize::try_from(index).ok()?;
        let hash = *self.nodes.get(node)?.received.get(index)?;
        Some((hash, self.invoices.get(&hash)?.amount))
    }

    fn account(&mut self, node: NodeId) -> Result<&mut Account, Refusal> {
        if self.nodes.len() >= MAX_NODES && !self.nodes.contains_key(&node) {
            return Err(Refusal::Full);
        }
        Ok(self.nodes.entry(node).or_default())
    }

    fn grant(&mut self, node: NodeId, amount: Msat) -> Result<Response, Refusal> {
        let account = self.account(node)?;
        account.balance = account
            .balance
            .checked_add(amount)
            .ok_or(Refusal::TooMuch)?;
        Ok(Response::Done)
    }

    fn register(
        &mut self,
        now: UnixTime,
        hash: Hash,
        invoice: Invoice,
    ) -> Result<Response, Refusal> {
        if sha256::Hash::hash(&invoice.preimage.0).to_byte_array() != hash.0 {
            return Err(Refusal::WrongPreimage);
        }
        if self.invoices.contains_key(&hash) {
            return Err(Refusal::Duplicate);
        }
        if self.invoices.len() >= MAX_INVOICES {
            self.invoices
                .retain(|_, old| old.payer.is_some() || old.expires > now);
        }
        if self.invoices.len() >= MAX_INVOICES {
            return Err(Refusal::Full);
        }
        self.account(invoice.payee)?;
        self.invoices.insert(hash, invoice);
        Ok(Response::Done)
    }

    fn pay(
        &mut self,
        now: UnixTime,
        hash: Hash,
        amount: Msat,
        payer: NodeId,
    ) -> Result<Response, Refusal> {
        let invoice = self.invoices.get(&hash).ok_or(Refusal::Unknown)?;
        if invoice.payer.is_some() {
            return Err(Refusal::AlreadyPaid);
        }
        if invoice.expires <= now {
            return Err(Refusal::Expired);
        }
        if invoice.amount != amount {
            return Err(Refusal::WrongAmount);
        }
        let (payee, preimage) = (invoice.payee, invoice.preimage);
        self.transfer(payer, payee, amount)?;
        self.account(payee)?.received.push(hash);
        if let Some(invoice) = self.invoices.get_mut(&hash) {
            invoice.payer = Some(payer);
        }
        Ok(Response::Paid { preimage })
    }

    /// All or nothing.
    fn transfer(&mut self, payer: NodeId, payee: NodeId, amount: Msat) -> Result<(), Refusal> {
        let payer_has = self.account(payer)?.balance;
        let payer_keeps = payer_has.checked_sub(amount).ok_or(Refusal::NoFunds)?;
        if payer == payee {
            return Ok(());
        }
        let payee_has = self.account(payee)?.balance;
        let payee_gets = payee_has.checked_add(amount).ok_or(Refusal::TooMuch)?;
        self.account(payer)?.balance = payer_keeps;
        self.account(payee)?.balance = payee_gets;
        Ok(())
    }

    fn invoice(&self, hash: &Hash) -> Response {
        match self.invoices.get(hash) {
            None => Response::Unknown,
            Some(Invoice { payer: None, .. }) => Response::Open,
            Some(Invoice {
                payer: Some(payer),
                amount,
                preimage,
                ..
            }) => Response::Settled {
                amount: *amount,
                payer: *payer,
                preimage: *preimage,
            },
        }
    }

    fn balance(&self, node: &NodeId) -> Response {
        let amount = self
            .nodes
            .get(node)
            .map_or(Msat::new(0), |account| account.balance);
        Response::Balance { amount }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_000);
    const LATER: UnixTime = UnixTime::from_secs(2_000);
    const ALICE: NodeId = NodeId([2; 33]);
    const BOB: NodeId = NodeId([3; 33]);

    fn invoice(state: &mut State, seed: u8, amount: u64) -> Hash {
        let preimage = Preimage([seed; 32]);
        let hash = Hash(sha256::Hash::hash(&preimage.0).to_byte_array());
        let amount = Msat::new(amount);
        let register = Request::Register {
            hash,
            preimage,
            amount,
            expires: LATER,
            payee: BOB,
        };
        assert_eq!(state.handle(NOW, register), Response::Done);
        hash
    }

    fn rich_alice(amount: u64) -> State {
        let mut state = State::default();
        let grant = Request::Grant {
            node: ALICE,
            amount: Msat::new(amount),
        };
        assert_eq!(state.handle(NOW, grant), Response::Done);
        state
    }

    fn pay(state: &mut State, now: UnixTime, hash: Hash, amount: u64) -> Response {
        state.handle(
            now,
            Request::Pay {
                hash,
                amount: Msat::new(amount),
                payer: ALICE,
            },
        )
    }

    fn balances(state: &State) -> (u64, u64) {
        let of = |node| match state.balance(&node) {
            Response::Balance { amount } => amount.get(),
            other => panic!("{other:?}"),
        };
        (of(ALICE), of(BOB))
    }

    #[test]
    fn an_invoice_is_paid_once_and_the_money_moves() {
        let mut state = rich_alice(100);
        let hash = invoice(&mut state, 1, 60);
        assert_eq!(state.invoice(&hash), Response::Open);
        let preimage = Preimage([1; 32]);
        assert_eq!(pay(&mut state, NOW, hash, 60), Response::Paid { preimage });
        assert_eq!(balances(&state), (40, 60));
        assert_eq!(
            pay(&mut state, NOW, hash, 60),
            Response::Refused(Refusal::AlreadyPaid)
        );
        assert_eq!(balances(&state), (40, 60));
        assert_eq!(state.received(&BOB, 0), Some((hash, Msat::new(60))));
        assert_eq!(state.received(&BOB, 1), None);
    }

    #[test]
    fn a_refused_payment_moves_nothing() {
        let mut state = rich_alice(100);
        let dear = invoice(&mut state, 1, 101);
        let fair = invoice(&mut state, 2, 50);
        for (response, refusal) in [
            (pay(&mut state, NOW, dear, 101), Refusal::NoFunds),
            (pay(&mut state, NOW, fair, 49), Refusal::WrongAmount),
            (pay(&mut state, LATER, fair, 50), Refusal::Expired),
            (pay(&mut state, NOW, Hash([0; 32]), 50), Refusal::Unknown),
        ] {
            assert_eq!(response, Response::Refused(refusal));
        }
        assert_eq!(balances(&state), (100, 0));
        assert_eq!(state.invoice(&fair), Response::Open);
    }

    #[test]
    fn nobody_can_invoice_for_a_hash_whose_preimage_he_lacks() {
        let mut state = State::default();
        let register = Request::Register {
            hash: Hash([9; 32]),
            preimage: Preimage([1; 32]),
            amount: Msat::new(1),
            expires: LATER,
            payee: BOB,
        };
        assert_eq!(
            state.handle(NOW, register),
            Response::Refused(Refusal::WrongPreimage)
        );
    }

    #[test]
    fn expired_invoices_make_room_and_paid_ones_stay() {
        let mut state = rich_alice(1);
        let paid = invoice(&mut state, 1, 1);
        pay(&mut state, NOW, paid, 1);
        let old = |expires| Invoice {
            payee: BOB,
            preimage: Preimage([0; 32]),
            amount: Msat::new(1),
            expires,
            payer: None,
        };
        for n in 1..MAX_INVOICES as u64 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_be_bytes());
            state
                .invoices
                .insert(Hash(hash), old(UnixTime::from_secs(1_500)));
        }
        let preimage = Preimage([7; 32]);
        let hash = Hash(sha256::Hash::hash(&preimage.0).to_byte_array());
        let register = |expires| Request::Register {
            hash,
            preimage,
            amount: Msat::new(1),
            expires,
            payee: BOB,
        };
        assert_eq!(
            state.handle(NOW, register(LATER)),
            Response::Refused(Refusal::Full)
        );
        let then = UnixTime::from_secs(1_600);
        assert_eq!(state.handle(then, register(LATER)), Response::Done);
        assert_eq!(state.invoices.len(), 2);
        assert!(matches!(state.invoice(&paid), Response::Settled { .. }));
    }
}
