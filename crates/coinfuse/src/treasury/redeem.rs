//! One pass over the collected vouchers.

use super::TreasuryError;
use super::money::{Redemption, with_causes};
use crate::store::{CollectedVoucher, Ledger, VoucherKey};
use coinfuse_voucher::{MintId, Redeemed, Redeemer, VerifiedVoucher, Verifier, Voucher};
use coinfuse_wire::Decode;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

/// The most vouchers that one pass leaves behind before it gives up: they are in memory by name.
const MAX_WAITING: usize = 1 << 14;

/// Goes through the ledger once, batch by batch. A mint that fails is not asked again in this
/// pass, and holds up no other mint's vouchers.
pub(super) struct Pass<'a> {
    redeemer: &'a Redeemer,
    verifier: &'a Arc<RwLock<Verifier>>,
    ledger: &'a Ledger,
    batch: usize,
    /// What stays in the ledger.
    waiting: HashSet<[u8; 32]>,
    failed: HashSet<MintId>,
    outcome: Redemption,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        redeemer: &'a Redeemer,
        verifier: &'a Arc<RwLock<Verifier>>,
        ledger: &'a Ledger,
        batch: usize,
    ) -> Self {
        Self {
            redeemer,
            verifier,
            ledger,
            batch,
            waiting: HashSet::new(),
            failed: HashSet::new(),
            outcome: Redemption::default(),
        }
    }

    pub(super) async fn run(mut self) -> Result<Redemption, TreasuryError> {
        while self.waiting.len() < MAX_WAITING {
            let batch = self.next_batch().await?;
            if batch.is_empty() {
                break;
            }
            for (mint, vouchers) in self.reopen(batch) {
                self.redeem(mint, vouchers).await?;
            }
        }
        self.outcome.waiting = self.waiting.len();
        Ok(self.outcome)
    }

    /// Vouchers that this pass has not seen.
    async fn next_batch(&self) -> Result<Vec<CollectedVoucher>, TreasuryError> {
        let (ledger, limit) = (self.ledger.clone(), self.batch + self.waiting.len());
        let read = tokio::task::spawn_blocking(move || ledger.collected(limit)).await;
        let mut batch = read.map_err(|_| TreasuryError::Closed)??;
        batch.retain(|voucher| !self.waiting.contains(voucher.key.as_bytes()));
        Ok(batch)
    }

    /// Checks the vouchers once more, which gives the keys that spend them.
    fn reopen(&mut self, batch: Vec<CollectedVoucher>) -> BTreeMap<MintId, Vec<VerifiedVoucher>> {
        let verifier = self.verifier.read().unwrap_or_else(PoisonError::into_inner);
        let mut by_mint: BTreeMap<MintId, Vec<VerifiedVoucher>> = BTreeMap::new();
        for collected in batch {
            let voucher = Voucher::from_bytes(&collected.bytes).ok();
            let verified = voucher.and_then(|voucher| verifier.reopen(&voucher).ok());
            // Not now: the keysets of its mint are not known yet.
            match verified.filter(|verified| !self.failed.contains(verified.mint())) {
                Some(verified) => by_mint
                    .entry(verified.mint().clone())
                    .or_default()
                    .push(verified),
                None => {
                    self.waiting.insert(*collected.key.as_bytes());
                }
            }
        }
        by_mint
    }

    async fn redeem(
        &mut self,
        mint: MintId,
        vouchers: Vec<VerifiedVoucher>,
    ) -> Result<(), TreasuryError> {
        let redeemed = match self.redeemer.redeem(&vouchers).await {
            Ok(redeemed) => redeemed,
            Err(error) => {
                tracing::warn!(error = %with_causes(&error), "the vouchers of a mint have to wait");
                self.failed.insert(mint);
                Redeemed::default()
            }
        };
        let over = redeemed.done.iter().chain(&redeemed.spent_before);
        let over: Vec<_> = over.map(|id| VoucherKey::new(*id.as_bytes())).collect();
        let left = vouchers.iter().map(|voucher| *voucher.id().as_bytes());
        self.waiting.extend(left);
        for key in &over {
            self.waiting.remove(key.as_bytes());
        }
        if !over.is_empty() {
            self.ledger.mark_redeemed(over).await?;
        }
        self.outcome.redeemed += redeemed.done.len();
        self.outcome.spent_before += redeemed.spent_before.len();
        self.outcome.earned = self.outcome.earned.saturating_add(redeemed.earned);
        Ok(())
    }
}
