//! Payments at the relay: judge, hold, serve, write down, acknowledge.

use crate::store::{
    AccountKey, CollectedVoucher, Ledger, LedgerError, Outcome, Outlook, Reservation, VoucherKey,
};
use coinfuse_circuit::{AccountId, MAX_REFUSALS, Offer, PayResult, PaymentNumber, RefusedItem};
use coinfuse_voucher::{MintId, Payment, Refusal, Verifier};
use coinfuse_wire::{Decode, Encode, Msat, UnixTime};
use std::sync::{Arc, RwLock};

/// Takes payments.
pub(super) struct Cashier {
    verifier: Arc<RwLock<Verifier>>,
    ledger: Ledger,
    /// The most of one payment that is served before it is on disk.
    serve_ahead: Msat,
    /// The mints whose vouchers are to be taken, whether their keysets are known yet or not.
    mints: Vec<MintId>,
}

/// A payment that was judged; its good part is held and not yet written.
pub(super) struct Judged {
    number: PaymentNumber,
    /// What may be served at once.
    pub(super) provisional: Msat,
    refused: Vec<RefusedItem>,
    /// The places in the payment of what is in the reservation.
    places: Vec<u8>,
    reservation: Option<Reservation>,
}

impl Cashier {
    pub(super) fn new(
        verifier: Arc<RwLock<Verifier>>,
        ledger: Ledger,
        serve_ahead: Msat,
        mints: Vec<MintId>,
    ) -> Self {
        Self {
            verifier,
            ledger,
            serve_ahead,
            mints,
        }
    }

    /// Checks everything that can be checked without waiting.
    pub(super) fn judge(
        &self,
        unix: UnixTime,
        account: AccountId,
        number: PaymentNumber,
        offer: &Offer,
    ) -> Judged {
        let mut judged = Judged {
            number,
            provisional: Msat::ZERO,
            refused: Vec::new(),
            places: Vec::new(),
            reservation: None,
        };
        let payment = match Payment::from_bytes(&offer.payment) {
            Ok(payment) if offer.method == Offer::VOUCHERS => payment,
            _ => {
                judged.refuse(0, Refusal::Malformed);
                return judged;
            }
        };
        let good = self.verify(unix, &payment, &mut judged);
        if !good.is_empty() {
            self.hold(account, good, &mut judged);
        }
        judged
    }

    fn verify(
        &self,
        unix: UnixTime,
        payment: &Payment,
        judged: &mut Judged,
    ) -> Vec<CollectedVoucher> {
        let Ok(verifier) = self.verifier.read() else {
            return Vec::new();
        };
        let mut good = Vec::new();
        for (place, voucher) in (0u8..).zip(payment.vouchers()) {
            match verifier.verify(unix, voucher) {
                Ok(verified) => {
                    judged.places.push(place);
                    good.push(CollectedVoucher {
                        key: VoucherKey::new(*verified.id().as_bytes()),
                        value: verified.value(),
                        locktime: voucher.locktime(),
                        bytes: voucher.to_bytes(),
                    });
                }
                // It may be of a mint that has not answered yet; a refusal would lock the coin.
                Err(Refusal::UnknownKeyset) if !self.knows_all(&verifier) => {
                    judged.refuse(place, Refusal::Unavailable);
                }
                Err(refusal) => judged.refuse(place, refusal),
            }
        }
        good
    }

    fn knows_all(&self, verifier: &Verifier) -> bool {
        self.mints
            .iter()
            .all(|mint| verifier.keyring().accepts(mint))
    }

    fn hold(&self, account: AccountId, good: Vec<CollectedVoucher>, judged: &mut Judged) {
        match self
            .ledger
            .reserve(AccountKey::new(*account.as_bytes()), good)
        {
            Ok(reservation) => {
                for (place, outlook) in judged.places.clone().into_iter().zip(reservation.outlook())
                {
                    if *outlook == Outlook::Spent {
                        judged.refuse(place, Refusal::Spent);
                    }
                }
                let fresh = reservation.fresh();
                if fresh <= self.serve_ahead {
                    judged.provisional = fresh;
                }
                judged.reservation = Some(reservation);
            }
            Err(_) => {
                for place in core::mem::take(&mut judged.places) {
                    judged.refuse(place, Refusal::Unavailable);
                }
            }
        }
    }
}

impl Judged {
    /// What was refused already, for the answer to a handshake.
    pub(super) fn refusals(&self) -> Option<PayResult> {
        (!self.refused.is_empty()).then(|| PayResult {
            number: self.number,
            credited: Msat::ZERO,
            refused: self.refused.clone(),
        })
    }

    /// Writes the payment down; resolves when it is on disk, with what to tell the client.
    pub(super) async fn commit(mut self) -> PayResult {
        if let Some(reservation) = self.reservation.take() {
            let values = reservation.values();
            match reservation.commit().await {
                Ok(credit) => return self.acknowledge(&credit.outcomes, &values),
                Err(error) => self.fail(&error),
            }
        }
        self.result(Msat::ZERO)
    }

    fn acknowledge(mut self, outcomes: &[Outcome], values: &[Msat]) -> PayResult {
        let mut credited = Msat::ZERO;
        for ((place, outcome), value) in self.places.clone().into_iter().zip(outcomes).zip(values) {
            match outcome {
                Outcome::Credited => credited = credited.saturating_add(*value),
                // Its money is in the balance that the account already had.
                Outcome::AlreadyCredited => {}
                Outcome::Spent => self.refuse(place, Refusal::Spent),
            }
        }
        self.result(credited)
    }

    fn fail(&mut self, error: &LedgerError) {
        tracing::error!(%error, "a payment could not be written down; payments are refused");
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

    fn result(self, credited: Msat) -> PayResult {
        PayResult {
            number: self.number,
            credited,
            refused: self.refused,
        }
    }
}
