//! What one hop of a circuit is paid, beside the circuit's control task.

use super::cell::Cell;
use super::channels::{ChannelPayment, Next};
use super::payer::{HopAccount, Payer, Purchase};
use coinfuse_circuit::{Direction, PayResult};
use coinfuse_wire::{HopIndex, Msat};
use core::time::Duration;
use std::sync::Arc;
use tokio::time::sleep;

/// How long a pool that could not be filled waits before it asks again.
const DECLINE_FOR: Duration = Duration::from_secs(1);

/// Pays one hop. Its tasks run to their end, since what they pay with is on disk.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) cell: Arc<Cell>,
    pub(super) payer: Arc<Payer>,
    pub(super) account: HopAccount,
    pub(super) hop: HopIndex,
}

impl Teller {
    /// A pool wants money.
    pub(super) fn top_up(self, direction: Direction, amount: Msat) {
        tokio::spawn(async move {
            let unix = self.cell.clock().unix();
            let bought = self.payer.top_up(unix, &self.account, amount).await;
            match bought.map(|purchase| purchase.offer().map(|offer| (purchase, offer))) {
                Ok(Some((purchase, offer))) => {
                    self.cell.pay(self.hop, purchase, offer, Some(direction));
                    self.attend_now().await;
                }
                Ok(None) => self.cell.decline(self.hop, direction),
                Err(error) => {
                    tracing::warn!(%error, hop = %self.hop, "a hop could not be paid; trying again");
                    sleep(DECLINE_FOR).await;
                    self.payer.recover(&error).await;
                    self.cell.decline(self.hop, direction);
                }
            }
        });
    }

    /// Sees to the hop's channels, after a while.
    pub(super) fn attend(self, after: Duration) {
        tokio::spawn(async move {
            tokio::select! {
                () = sleep(after) => {}
                () = self.cell.leaving.cancelled() => return,
                () = self.cell.over.cancelled() => return,
            }
            self.attend_now().await;
        });
    }

    /// As [`Self::attend`], after a while at random; at once if the client has no channels.
    pub(super) fn attend_soon(self) {
        if let Some(channels) = self.payer.channels() {
            let after = channels.jitter();
            self.attend(after);
        }
    }

    async fn attend_now(&self) {
        let (Some(channels), Some(credit)) = (self.payer.channels(), self.cell.credit(self.hop))
        else {
            return;
        };
        if !self.cell.is_open() {
            return;
        }
        let payments = channels.attend(&self.account, credit.down.rate());
        for payment in payments.await {
            let offer = payment.offer();
            let purchase = Purchase::Channel(payment);
            self.cell.pay(self.hop, purchase, offer, None);
        }
    }

    /// The hop has answered a payment through a channel.
    pub(super) fn answered(self, payment: ChannelPayment, result: PayResult) {
        tokio::spawn(async move {
            let Some(channels) = self.payer.channels() else {
                return;
            };
            match channels.answered(&self.account, payment, &result).await {
                Next::Attend(after) => self.attend(after),
                Next::Rest => {}
            }
        });
    }
}
