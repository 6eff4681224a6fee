//! Vouchers: ordered and bought.

use super::error::PurseError;
use super::plan::Wish;
use super::record::{Held, Terms};
use super::send::{Brought, Planned};
use super::till::Till;
use crate::id::VoucherId;
use crate::key::VoucherPublicKey;
use crate::unit::MintId;
use crate::voucher::Voucher;
use coinfuse_wire::{Msat, RelayId, UnixTime};

/// Vouchers wanted for one relay and account.
#[derive(Clone, PartialEq, Eq)]
pub struct Order {
    /// Whom they are for.
    pub relay: RelayId,
    /// The relay's voucher key, from its descriptor.
    pub voucher_key: VoucherPublicKey,
    /// The mint whose coins they are; one that the relay accepts.
    pub mint: MintId,
    /// True if the relay is that mint: then the voucher is without DLEQ proof, which would show
    /// the relay the purchase.
    pub issuer: bool,
    /// The token of the account that they will be credited to. Kept with the vouchers, so that they
    /// are presented for the same account after a crash.
    pub account: [u8; 32],
    /// What they are worth together. A power of two (of the mint's unit) is one voucher; others are
    /// as many as they have bits. A mint that counts satoshis rounds up.
    pub amount: Msat,
}

impl core::fmt::Debug for Order {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Order({} of {})", self.amount, self.mint)
    }
}

/// A voucher that was bought and is not known to be credited.
#[derive(Clone, PartialEq, Eq)]
pub struct Bought {
    /// Its name.
    pub id: VoucherId,
    /// Whom it is for.
    pub relay: RelayId,
    /// The key of the relay that it is locked to; for another one it is worth nothing.
    pub voucher_key: VoucherPublicKey,
    /// The mint whose coin it is.
    pub mint: MintId,
    /// The token of the account that it was bought for.
    pub account: [u8; 32],
    /// What it is worth.
    pub value: Msat,
    /// The voucher, to present.
    pub voucher: Voucher,
}

impl core::fmt::Debug for Bought {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Bought({} for {:?}, [scrubbed])", self.value, self.relay)
    }
}

impl Order {
    pub(super) fn terms(&self, locktime: UnixTime) -> Terms {
        Terms {
            relay: self.relay,
            account: self.account,
            voucher_key: self.voucher_key,
            issuer: self.issuer,
            locktime,
        }
    }
}

/// One swap; a second one if the mint refuses, since its keysets may have turned over.
pub(super) async fn buy_at(
    till: &Till,
    mint: &MintId,
    wishes: &[Wish],
) -> Result<Brought, PurseError> {
    match buy_once(till, mint, wishes, false).await {
        Err(PurseError::Refused { .. }) => buy_once(till, mint, wishes, true).await,
        result => result,
    }
}

async fn buy_once(
    till: &Till,
    mint: &MintId,
    wishes: &[Wish],
    refresh: bool,
) -> Result<Brought, PurseError> {
    let (keyset, fees) = till.keyset(mint, refresh).await?;
    let planned = till.plan(|book| book.plan_purchase(mint, &keyset, wishes, &fees));
    let (swap, claim, written) = planned.await?.map_err(|error| error.at(mint))?;
    till.execute(Planned::new(swap, keyset, claim), written)
        .await
}

/// Deals the vouchers out to the orders, each its largest first. Those of equal terms are as good as
/// each other.
pub(super) fn in_order(
    orders: &[Order],
    locktime: UnixTime,
    mut vouchers: Vec<(VoucherId, Held)>,
) -> Vec<Bought> {
    vouchers.sort_by_key(|(_, held)| std::cmp::Reverse(held.voucher.denomination()));
    let mut dealt = Vec::with_capacity(vouchers.len());
    for order in orders {
        let terms = order.terms(locktime);
        let mut open = order.mint.unit().units_for(order.amount);
        vouchers.retain(|(id, held)| {
            let units = held.voucher.denomination().units();
            let fits = held.mint == order.mint && held.terms == terms && units <= open;
            if fits {
                open -= units;
                dealt.push(bought(id, held));
            }
            !fits
        });
    }
    dealt
}

pub(super) fn value(held: &Held) -> Msat {
    held.mint
        .unit()
        .value(held.voucher.denomination().units())
        .unwrap_or(Msat::MAX)
}

pub(super) fn bought(id: &VoucherId, held: &Held) -> Bought {
    Bought {
        id: *id,
        relay: held.terms.relay,
        voucher_key: held.terms.voucher_key,
        mint: held.mint.clone(),
        account: held.terms.account,
        value: value(held),
        voucher: held.voucher.clone(),
    }
}
