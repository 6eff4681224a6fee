//! What a client may still spend.

use super::ClientError;
use coinfuse_wire::Msat;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The hard cap of one run: what was paid to relays, and what is left to be paid.
#[derive(Debug)]
pub(super) struct Budget(Mutex<State>);

#[derive(Debug, Clone, Copy)]
struct State {
    left: Msat,
    spent: Msat,
}

impl Budget {
    pub(super) const fn new(cap: Msat) -> Self {
        Self(Mutex::new(State {
            left: cap,
            spent: Msat::ZERO,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was spent since the start.
    pub(super) fn spent(&self) -> Msat {
        self.lock().spent
    }

    /// What may still be spent.
    pub(super) fn left(&self) -> Msat {
        self.lock().left
    }

    /// Takes `amount` out before it is paid.
    pub(super) fn spend(&self, amount: Msat) -> Result<(), ClientError> {
        let mut state = self.lock();
        let left = state.left.checked_sub(amount);
        state.left = left.ok_or(ClientError::CapReached)?;
        state.spent = state.spent.saturating_add(amount);
        Ok(())
    }

    /// Sets `amount` aside for what is bought ahead. It counts towards the cap, and as spent when
    /// it is [paid](Self::pay_reserved).
    pub(super) fn reserve(&self, amount: Msat) -> Result<(), ClientError> {
        let mut state = self.lock();
        let left = state.left.checked_sub(amount);
        state.left = left.ok_or(ClientError::CapReached)?;
        Ok(())
    }

    /// Pays with what was set aside.
    pub(super) fn pay_reserved(&self, amount: Msat) {
        let mut state = self.lock();
        state.spent = state.spent.saturating_add(amount);
    }

    /// What was set aside will not be paid.
    pub(super) fn release(&self, amount: Msat) {
        let mut state = self.lock();
        state.left = state.left.saturating_add(amount);
    }

    /// Puts back what is known not to have been paid.
    pub(super) fn unspend(&self, amount: Msat) {
        let mut state = self.lock();
        state.left = state.left.saturating_add(amount);
        state.spent = state.spent.saturating_sub(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_is_reached_and_never_passed() {
        let budget = Budget::new(Msat::new(100));
        budget.spend(Msat::new(60)).unwrap();
        let error = budget.spend(Msat::new(41)).unwrap_err();
        assert!(matches!(error, ClientError::CapReached));
        assert_eq!(
            (budget.left(), budget.spent()),
            (Msat::new(40), Msat::new(60))
        );
        budget.unspend(Msat::new(60));
        budget.spend(Msat::new(100)).unwrap();
        assert_eq!(budget.left(), Msat::ZERO);
    }

    #[test]
    fn what_is_set_aside_counts_towards_the_cap_and_is_spent_when_it_is_paid() {
        let budget = Budget::new(Msat::new(100));
        budget.reserve(Msat::new(70)).unwrap();
        assert!(budget.reserve(Msat::new(31)).is_err());
        assert!(budget.spend(Msat::new(31)).is_err());
        assert_eq!(budget.spent(), Msat::ZERO);
        budget.pay_reserved(Msat::new(50));
        budget.release(Msat::new(20));
        assert_eq!(
            (budget.left(), budget.spent()),
            (Msat::new(50), Msat::new(50))
        );
    }
}
