//! The client's money.

mod book;
mod error;
mod lightning;
mod mould;
mod record;
mod redeem;
mod store;
mod till;

pub use error::PurseError;
pub use lightning::{Invoice, Paid};
pub use mould::BadMint;
pub use redeem::{Redeemed, Redeemer};
pub use store::StoreError;
pub use till::{Connector, PurseConfig};

use crate::id::VoucherId;
use crate::key::VoucherPublicKey;
use crate::keyring::Keyring;
use crate::refusal::{Refusal, Remedy};
use crate::unit::MintId;
use crate::voucher::Voucher;
use book::Wish;
use coinfuse_wire::{Msat, RelayId, UnixTime};
use record::{Coin, Held, Input, Terms};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use till::{Brought, Till};

const DAY: u64 = 24 * 3600;

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

/// The client's money: coins at some mints, and the vouchers bought with them.
///
/// Everything that spends is written to disk before it is sent, complete, so that [`Self::recover`]
/// can finish it after a crash at any point. Each method goes on to its end even if its future is
/// dropped. A spending limit is the caller's to keep.
///
/// A voucher's states: **bought**, to be presented ([`Self::unsettled`]); then
/// [`Self::credited`] and forgotten, or [`Self::refused`] and kept until its locktime, when
/// [`Self::refund_expired`] takes the coin back. Presenting twice does no harm: the relay answers
/// that it is credited already.
#[derive(Clone)]
pub struct Purse {
    till: Arc<Till>,
    lock_for: Duration,
}

impl core::fmt::Debug for Purse {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.till.mints()).finish()
    }
}

impl Purse {
    /// Opens or makes a purse. Does not use the network; call [`Self::recover`] next.
    pub async fn open(config: &PurseConfig) -> Result<Self, PurseError> {
        let till = Till::open(config).await?;
        Ok(Self {
            till: Arc::new(till),
            lock_for: config.lock_for,
        })
    }

    /// Drives everything that was begun to its end: swaps, invoices, payments. Call it at start and
    /// whenever a mint that did not answer may be back. Returns how many things could not be
    /// finished now.
    pub async fn recover(&self) -> Result<usize, PurseError> {
        self.run(|till| async move {
            let swaps = till.recover_swaps().await?;
            Ok(swaps + till.recover_wallets().await?)
        })
        .await
    }

    /// Whether a mint is on the list that the purse was opened with. A purse may also hold coins of
    /// one that was taken off it; they are kept, and not spent.
    pub fn uses(&self, mint: &MintId) -> bool {
        self.till.mints().any(|listed| listed == mint)
    }

    /// What can be spent at a mint now; without vouchers and without what is in unfinished swaps.
    pub async fn balance(&self, mint: &MintId) -> Result<Msat, PurseError> {
        self.till.balance(mint).await
    }

    /// What can be spent, by mint.
    pub async fn balances(&self) -> BTreeMap<MintId, Msat> {
        let mut balances: BTreeMap<_, _> = self
            .till
            .mints()
            .map(|mint| (mint.clone(), Msat::ZERO))
            .collect();
        self.till
            .read(|book| {
                for mint in book.mints() {
                    let value = mint.unit().value(book.balance(mint)).unwrap_or(Msat::MAX);
                    balances.insert(mint.clone(), value);
                }
            })
            .await;
        balances
    }

    /// The keysets of the mints that answer.
    pub async fn keyring(&self) -> Keyring {
        self.till.keyring().await
    }

    /// Asks a mint for a Lightning invoice of `amount`; satoshi mints round up.
    pub async fn fund(&self, mint: &MintId, amount: Msat) -> Result<Invoice, PurseError> {
        let mint = mint.clone();
        self.run(move |till| async move { till.fund(&mint, amount).await })
            .await
    }

    /// Waits until the invoice is paid and its coins are in the purse; returns what came. After a
    /// time-out, or a crash, [`Self::recover`] brings the coins of an invoice that was paid.
    pub async fn await_funding(
        &self,
        invoice: &Invoice,
        timeout: Duration,
    ) -> Result<Msat, PurseError> {
        let invoice = invoice.clone();
        self.run(move |till| async move { till.await_funding(&invoice, timeout).await })
            .await
    }

    /// Pays a BOLT-11 invoice with coins of `mint`.
    pub async fn pay(&self, mint: &MintId, bolt11: &str) -> Result<Paid, PurseError> {
        let (mint, bolt11) = (mint.clone(), bolt11.to_owned());
        self.run(move |till| async move { till.pay(&mint, &bolt11).await })
            .await
    }

    /// Moves money: `from` pays an invoice of `to`, by Lightning. `to` brings `amount`; `from` also
    /// pays the fee.
    pub async fn across(
        &self,
        from: &MintId,
        to: &MintId,
        amount: Msat,
        timeout: Duration,
    ) -> Result<Paid, PurseError> {
        let (from, to) = (from.clone(), to.clone());
        self.run(move |till| async move {
            let invoice = till.fund(&to, amount).await?;
            let paid = till.pay(&from, &invoice.bolt11).await?;
            till.await_funding(&invoice, timeout).await?;
            Ok(paid)
        })
        .await
    }

    /// Buys vouchers: one swap for each mint among the orders, all at the same time, in which the
    /// mint cannot tell vouchers from change. The vouchers come in the order of the orders, the
    /// largest first.
    ///
    /// If a mint fails, the vouchers of the others are bought and found by [`Self::unsettled`];
    /// look there before buying again.
    pub async fn buy(&self, now: UnixTime, orders: &[Order]) -> Result<Vec<Bought>, PurseError> {
        let locktime = self.locktime(now);
        let mut groups: BTreeMap<&MintId, Vec<Wish>> = BTreeMap::new();
        for order in orders {
            if order.amount.is_zero() || locktime > crate::MAX_LOCKTIME {
                return Err(PurseError::Amount(order.mint.clone()));
            }
            let units = order.mint.unit().units_for(order.amount);
            groups.entry(&order.mint).or_default().push(Wish {
                terms: order.terms(locktime),
                units,
            });
        }
        let tasks: Vec<_> = groups
            .into_iter()
            .map(|(mint, wishes)| {
                let (till, mint) = (Arc::clone(&self.till), mint.clone());
                tokio::spawn(async move { buy_at(&till, &mint, &wishes).await })
            })
            .collect();
        let mut vouchers = Vec::new();
        let mut failure = None;
        for task in tasks {
            match task.await.unwrap_or(Err(PurseError::Stopped)) {
                Ok(brought) => vouchers.extend(brought.vouchers),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(in_order(orders, locktime, vouchers)),
        }
    }

    /// The vouchers that were bought and neither credited nor refused: for `relay`, or for all.
    /// After a crash these are presented again, each for its account.
    pub async fn unsettled(&self, relay: Option<RelayId>) -> Vec<Bought> {
        self.till
            .read(|book| {
                let open = book.vouchers().filter(|(_, held)| !held.refused);
                open.filter(|(_, held)| relay.is_none_or(|relay| relay == held.terms.relay))
                    .map(|(id, held)| bought(id, held))
                    .collect()
            })
            .await
    }

    /// The relay has acknowledged these; they are forgotten. Unknown ones are passed over.
    pub async fn credited(&self, ids: &[VoucherId]) -> Result<(), PurseError> {
        let ids = ids.to_vec();
        self.run(|till| async move {
            let (_, written) = till
                .change(|book| {
                    (
                        (),
                        ids.iter().filter_map(|id| book.drop_voucher(id)).collect(),
                    )
                })
                .await?;
            Ok(written.wait().await?)
        })
        .await
    }

    /// The relay refuses this one. What is spent is forgotten; what can be presented again stays
    /// unsettled; the rest waits for its locktime.
    pub async fn refused(&self, id: VoucherId, refusal: Refusal) -> Result<(), PurseError> {
        let remedy = refusal.remedy();
        self.run(move |till| async move {
            let (_, written) = till
                .change(|book| {
                    let change = match remedy {
                        Remedy::Retry => None,
                        Remedy::Drop => book.drop_voucher(&id),
                        Remedy::Refund => book.voucher_mut(&id).cloned().map(|mut held| {
                            held.refused = true;
                            book.put_voucher(id, held)
                        }),
                    };
                    ((), change.into_iter().collect())
                })
                .await?;
            Ok(written.wait().await?)
        })
        .await
    }

    /// What is locked in vouchers, unsettled and refused.
    pub async fn locked(&self) -> Msat {
        self.till
            .read(|book| book.vouchers().map(|(_, held)| value(held)).sum())
            .await
    }

    /// Takes back the coins of vouchers whose locktime has passed. Those that their relay has
    /// redeemed after all are forgotten. Returns what came back, less the mint's fee.
    pub async fn refund_expired(&self, now: UnixTime) -> Result<Msat, PurseError> {
        self.run(move |till| async move {
            let mut total = Msat::ZERO;
            for mint in till.mints() {
                total = total.saturating_add(refund_at(&till, mint, now).await?);
            }
            Ok(total)
        })
        .await
    }

    /// The end of the day on which a voucher bought now is locked long enough.
    fn locktime(&self, now: UnixTime) -> UnixTime {
        let day = now.saturating_add(self.lock_for).secs() / DAY;
        UnixTime::from_secs(day.saturating_add(1).saturating_mul(DAY))
    }

    /// Runs to the end whatever becomes of the caller: between memory and disk nothing may stop
    /// half-way.
    async fn run<T, F>(&self, work: impl FnOnce(Arc<Till>) -> F) -> Result<T, PurseError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PurseError>> + Send + 'static,
    {
        run(&self.till, work).await
    }
}

/// See [`Purse::run`].
async fn run<T, F>(till: &Arc<Till>, work: impl FnOnce(Arc<Till>) -> F) -> Result<T, PurseError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, PurseError>> + Send + 'static,
{
    tokio::spawn(work(Arc::clone(till)))
        .await
        .unwrap_or(Err(PurseError::Stopped))
}

impl Order {
    fn terms(&self, locktime: UnixTime) -> Terms {
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
async fn buy_at(till: &Till, mint: &MintId, wishes: &[Wish]) -> Result<Brought, PurseError> {
    let (planned, written) = till.plan(mint, wishes, false).await?;
    match till.execute(planned, Some(written)).await {
        Err(PurseError::Refused { .. }) => {
            let (planned, written) = till.plan(mint, wishes, true).await?;
            till.execute(planned, Some(written)).await
        }
        result => result,
    }
}

/// Deals the vouchers out to the orders, each its largest first. Those of equal terms are as good as
/// each other.
fn in_order(
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

fn value(held: &Held) -> Msat {
    held.mint
        .unit()
        .value(held.voucher.denomination().units())
        .unwrap_or(Msat::MAX)
}

fn bought(id: &VoucherId, held: &Held) -> Bought {
    Bought {
        id: *id,
        relay: held.terms.relay,
        account: held.terms.account,
        value: value(held),
        voucher: held.voucher.clone(),
    }
}

/// One swap of all expired vouchers of one mint that are still unspent.
async fn refund_at(till: &Till, mint: &MintId, now: UnixTime) -> Result<Msat, PurseError> {
    let expired: Vec<(VoucherId, Held)> = till
        .read(|book| {
            // Mints count the locktime as passed one second after it.
            book.vouchers()
                .filter(|(_, held)| held.mint == *mint && held.terms.locktime < now)
                .filter(|(id, _)| !book.in_swap(id))
                .take(record::MAX_SWAP / 2)
                .map(|(id, held)| (*id, held.clone()))
                .collect()
        })
        .await;
    if expired.is_empty() {
        return Ok(Msat::ZERO);
    }
    let inputs: Vec<_> = expired
        .iter()
        .filter_map(|(_, held)| refund_input(till, held))
        .collect();
    let unspent = till.unspent(mint, &inputs).await?;
    let (back, gone): (Vec<_>, Vec<_>) = inputs
        .into_iter()
        .partition(|input| unspent.contains(&book::key_of(&input.coin)));
    let gone: Vec<_> = gone
        .iter()
        .map(|input| VoucherId::from_bytes(book::key_of(&input.coin)))
        .collect();
    till.change(|book| {
        (
            (),
            gone.iter().filter_map(|id| book.drop_voucher(id)).collect(),
        )
    })
    .await?;
    if back.is_empty() {
        return Ok(Msat::ZERO);
    }
    let (planned, written) = till.plan_intake(mint, back, true).await?;
    let brought = till.execute(planned, Some(written)).await?;
    Ok(mint.unit().value(brought.plain).unwrap_or(Msat::MAX))
}

fn refund_input(till: &Till, held: &Held) -> Option<Input> {
    let denomination = held.voucher.denomination();
    let blank = till
        .seed()
        .blank(
            (&held.salt, held.counter),
            &held.terms,
            denomination,
            held.keyset,
        )
        .ok()?;
    let (mut proof, key) = blank.refund(held.voucher.signature);
    proof.sign_p2pk(key).ok()?;
    Some(Input {
        coin: Coin::from_proof(&held.mint, &proof),
        unlock: unlock(&proof),
    })
}

/// The signature in a proof's witness.
fn unlock(proof: &cashu::Proof) -> Option<String> {
    proof.witness.as_ref()?.signatures()?.into_iter().next()
}
