//! The client's money.

mod book;
mod config;
mod error;
mod foreign;
mod intake;
mod lightning;
mod line;
mod mould;
mod order;
mod plan;
mod record;
mod redeem;
mod refund;
mod running;
mod send;
mod signing;
mod store;
mod till;
mod token;
mod vault;

pub use config::{Connector, PurseConfig};
pub use error::PurseError;
pub use lightning::{Invoice, Paid};
pub use line::CallError;
pub use mould::BadMint;
pub use order::{Bought, Order};
pub use redeem::{Redeemed, Redeemer};
pub use store::StoreError;
pub use token::HandedOut;

use crate::id::VoucherId;
use crate::keyring::Keyring;
use crate::refusal::{Refusal, Remedy};
use crate::unit::MintId;
use book::Book;
use coinfuse_wire::{Msat, RelayId, UnixTime};
use order::{bought, buy_at, in_order, value};
use plan::Wish;
use record::{Held, Standing};
use refund::refund_at;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::Change;
use till::Till;

const DAY: u64 = 24 * 3600;

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
///
/// Where nobody answers for each voucher, it is **given away** ([`Self::give_away`]) before it
/// leaves: it is never used again, and comes back after its locktime if its relay did not take it.
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

    /// The vouchers that were bought and neither credited nor refused nor given away: for `relay`,
    /// or for all. After a crash these are presented again, each for its account.
    pub async fn unsettled(&self, relay: Option<RelayId>) -> Vec<Bought> {
        self.till
            .read(|book| {
                let open = book
                    .vouchers()
                    .filter(|(_, held)| held.standing == Standing::Open);
                open.filter(|(_, held)| relay.is_none_or(|relay| relay == held.terms.relay))
                    .map(|(id, held)| bought(id, held))
                    .collect()
            })
            .await
    }

    /// These leave the purse for where nobody acknowledges them one by one, in packets say. When
    /// this returns true they are not unsettled any more, also after a crash; they are to be
    /// forgotten with [`Self::credited`] when it is known that they were taken. False if one of
    /// them is not unsettled: then nothing has changed.
    pub async fn give_away(&self, ids: &[VoucherId]) -> Result<bool, PurseError> {
        let ids = ids.to_vec();
        self.run(|till| async move {
            let (given, written) = till.change(|book| give_away(book, &ids)).await?;
            written.wait().await?;
            Ok(given)
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
                            held.standing = Standing::Refused;
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

    /// What is locked in vouchers: unsettled, refused and given away.
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

/// All or none of them.
fn give_away(book: &mut Book, ids: &[VoucherId]) -> (bool, Vec<Change>) {
    let given = ids.iter().map(|id| {
        let held = book
            .voucher_mut(id)
            .filter(|held| held.standing == Standing::Open)?;
        let standing = Standing::Given;
        Some((
            *id,
            Held {
                standing,
                ..held.clone()
            },
        ))
    });
    match given.collect::<Option<Vec<_>>>() {
        None => (false, Vec::new()),
        Some(given) => {
            let changes = given
                .into_iter()
                .map(|(id, held)| book.put_voucher(id, held));
            (true, changes.collect())
        }
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
