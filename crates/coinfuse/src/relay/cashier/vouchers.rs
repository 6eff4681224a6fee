//! Payments in vouchers.

use crate::store::{
    AccountKey, CollectedVoucher, Ledger, LedgerError, Outcome, Outlook, Reservation, VoucherKey,
};
use coinfuse_circuit::{MAX_REFUSALS, RefusedItem};
use coinfuse_voucher::{MintId, Payment, Refusal, Verifier};
use coinfuse_wire::{Decode, Encode, Msat, UnixTime};
use std::sync::{Arc, RwLock};

/// Judges vouchers.
pub(super) struct Vouchers {
    verifier: Arc<RwLock<Verifier>>,
    ledger: Ledger,
    /// The mints whose vouchers are to be taken, whether their keysets are known yet or not.
    mints: Vec<MintId>,
}

/// Vouchers that were judged; the good ones are held and not yet written.
#[derive(Default)]
pub(super) struct Held {
    refused: Vec<RefusedItem>,
    /// The places in the payment of what is in the reservation.
    places: Vec<u8>,
    reservation: Option<Reservation>,
}

impl Vouchers {
    pub(super) fn new(verifier: Arc<RwLock<Verifier>>, ledger: Ledger, mints: Vec<MintId>) -> Self {
        Self {
            verifier,
            ledger,
            mints,
        }
    }

    pub(super) fn judge(&self, unix: UnixTime, account: AccountKey, payment: &[u8]) -> Held {
        let mut held = Held::default();
        match Payment::from_bytes(payment) {
            Ok(payment) => {
                let good = self.verify(unix, &payment, &mut held);
                if !good.is_empty() {
                    self.hold(account, good, &mut held);
                }
            }
            Err(_) => held.refuse(0, Refusal::Malformed),
        }
        held
    }

    fn verify(&self, unix: UnixTime, payment: &Payment, held: &mut Held) -> Vec<CollectedVoucher> {
        let Ok(verifier) = self.verifier.read() else {
            return Vec::new();
        };
        let mut good = Vec::new();
        for (place, voucher) in (0u8..).zip(payment.vouchers()) {
            match verifier.verify(unix, voucher) {
                Ok(verified) => {
                    held.places.push(place);
                    good.push(CollectedVoucher {
                        key: VoucherKey::new(*verified.id().as_bytes()),
                        value: verified.value(),
                        locktime: voucher.locktime(),
                        bytes: voucher.to_bytes(),
                    });
                }
                // It may be of a mint that has not answered yet; a refusal would lock the coin.
                Err(Refusal::UnknownKeyset) if !self.knows_all(&verifier) => {
                    held.refuse(place, Refusal::Unavailable);
                }
                Err(refusal) => held.refuse(place, refusal),
            }
        }
        good
    }

    fn knows_all(&self, verifier: &Verifier) -> bool {
        self.mints
            .iter()
            .all(|mint| verifier.keyring().accepts(mint))
    }

    fn hold(&self, account: AccountKey, good: Vec<CollectedVoucher>, held: &mut Held) {
        match self.ledger.reserve(account, good) {
            Ok(reservation) => {
                for (place, outlook) in held.places.clone().into_iter().zip(reservation.outlook()) {
                    if *outlook == Outlook::Spent {
                        held.refuse(place, Refusal::Spent);
                    }
                }
                held.reservation = Some(reservation);
            }
            Err(_) => held.refuse_rest(),
        }
    }
}

impl Held {
    /// What those are worth that nobody has shown before.
    pub(super) fn fresh(&self) -> Msat {
        let reservation = self.reservation.as_ref();
        reservation.map_or(Msat::ZERO, Reservation::fresh)
    }

    pub(super) const fn refused(&self) -> &Vec<RefusedItem> {
        &self.refused
    }

    /// Writes them down; resolves when they are on disk, with what was credited and what not.
    pub(super) async fn commit(mut self) -> (Msat, Vec<RefusedItem>) {
        let mut credited = Msat::ZERO;
        if let Some(reservation) = self.reservation.take() {
            let values = reservation.values();
            match reservation.commit().await {
                Ok(credit) => credited = self.count(&credit.outcomes, &values),
                Err(error) => self.fail(&error),
            }
        }
        (credited, self.refused)
    }

    fn count(&mut self, outcomes: &[Outcome], values: &[Msat]) -> Msat {
        let mut credited = Msat::ZERO;
        for ((place, outcome), value) in self.places.clone().into_iter().zip(outcomes).zip(values) {
            match outcome {
                Outcome::Credited => credited = credited.saturating_add(*value),
                // Its money is in the balance that the account already had.
                Outcome::AlreadyCredited => {}
                Outcome::Spent => self.refuse(place, Refusal::Spent),
            }
        }
        credited
    }

    fn fail(&mut self, error: &LedgerError) {
        tracing::error!(%error, "a payment could not be written down; payments are refused");
        self.refuse_rest();
    }

    fn refuse_rest(&mut self) {
        for place in core::mem::take(&mut self.places) {
            self.refuse(place, Refusal::Unavailable);
        }
    }

    fn refuse(&mut self, place: u8, refusal: Refusal) {
        let known = self.refused.iter().any(|item| item.index == place);
        if !known && self.refused.len() < MAX_REFUSALS {
            self.refused.push(RefusedItem {
                index: place,
                reason: refusal.code(),
            });
        }
    }
}
