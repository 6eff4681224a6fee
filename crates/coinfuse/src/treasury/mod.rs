//! A relay's money after it was collected.
//!
//! ```text
//! mints ── keysets ──► verifier      what the cashier can judge by itself
//! ledger ── collected vouchers ── redeemer ── mints ──► coins of the relay's own
//!        ├─ closed channels ── settle ── mints ──► the same
//!        └─ forgets spent vouchers whose locktime is over, and channels that have expired
//! ```
//!
//! All of it happens on a thread of its own, so that neither a slow mint nor a batch of signatures
//! delays the data. Nothing that goes wrong ends it: a mint that is down is asked again, and a
//! voucher that could not be redeemed stays in the ledger until it can.
//!
//! After a crash in the middle of a redemption the coins are safe: the redeemer finishes its swap,
//! and the ledger hears of it with the next pass.

mod keysets;
mod money;
mod payout;
mod redeem;
mod settle;
mod view;

pub use money::{Earnings, Redemption};
pub use settle::Settlements;
pub use view::ChannelView;

use crate::relay::Channels;
use crate::store::LedgerError;
use coinfuse_voucher::{HandedOut, MintId, Paid, PurseConfig, PurseError, Redeemer, Verifier};
use coinfuse_wire::Msat;
use core::fmt;
use core::time::Duration;
use keysets::Keysets;
use money::{Money, Question};
use payout::{Payout, pay_out};
use settle::{Settler, Wish};
use std::io;
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How a relay looks after its money.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TreasuryConfig {
    /// Where the relay's own coins are, and the mints that it accepts.
    pub purse: PurseConfig,
    /// How often collected vouchers are redeemed. Default 10 minutes. Seldom is cheaper, since a
    /// swap has a fixed cost at the mint; too seldom, and a mint that closes takes more with it.
    pub redeem_every: Duration,
    /// How often the mints are asked for keysets. Default 5 minutes. What a mint has answered
    /// is good for up to an hour.
    pub refresh_every: Duration,
    /// Vouchers redeemed in one go, 1 to 500. Default 250; each has some 200 bytes.
    pub batch: usize,
}

impl TreasuryConfig {
    /// The defaults, for these coins and mints.
    pub fn new(purse: PurseConfig) -> Self {
        Self {
            purse,
            redeem_every: Duration::from_secs(600),
            refresh_every: Duration::from_secs(300),
            batch: 250,
        }
    }
}

/// Questions that wait to be answered; the next waits to be asked.
const QUESTIONS: usize = 16;

/// Why the treasury does not open or answer; for the operator to act on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TreasuryError {
    /// The system gives no thread.
    #[error("the treasury's thread does not start: {0}")]
    Thread(#[source] io::Error),
    /// The relay's coins cannot be used.
    #[error(transparent)]
    Coins(#[from] PurseError),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It was shut down.
    #[error("the treasury is closed")]
    Closed,
}

/// A relay's running treasury. Dropping it stops it; see [`Self::shutdown`].
pub struct Treasury {
    redeem: mpsc::Sender<Question<Redemption>>,
    earnings: mpsc::Sender<Question<Earnings>>,
    settle: mpsc::Sender<Wish>,
    payout: mpsc::Sender<Payout>,
    channels: Channels,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Treasury {
    /// Opens the relay's coins and begins. The verifier's keyring grows as the mints answer; what
    /// it holds already, as the keys of the relay's own mint, stays. The channels, on whose ledger
    /// all of it is, learn the same keysets.
    ///
    /// Comes back when the files are open and the mints have answered, or after three seconds
    /// without those that have not. Keysets that are on disk from before need no answer.
    ///
    /// # Errors
    ///
    /// [`TreasuryError::Thread`] and [`TreasuryError::Coins`].
    pub async fn start(
        config: TreasuryConfig,
        verifier: Arc<RwLock<Verifier>>,
        channels: Channels,
    ) -> Result<Self, TreasuryError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(TreasuryError::Thread)?;
        let (redeem, redeem_inbox) = mpsc::channel(QUESTIONS);
        let (earnings, earnings_inbox) = mpsc::channel(QUESTIONS);
        let (settle, settle_inbox) = mpsc::channel(QUESTIONS);
        let (payout, payout_inbox) = mpsc::channel(QUESTIONS);
        let (ready, opened) = oneshot::channel();
        let theirs = channels.clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("coinfuse-treasury".into())
            .spawn(move || {
                let inboxes = Inboxes {
                    redeem: redeem_inbox,
                    earnings: earnings_inbox,
                    settle: settle_inbox,
                    payout: payout_inbox,
                };
                let work = work(config, verifier, theirs, inboxes, ready);
                runtime.block_on(stopped.run_until_cancelled_owned(work));
                // A request to a mint that hangs is not waited for.
                runtime.shutdown_background();
            })
            .map_err(TreasuryError::Thread)?;
        // Made here, so that the thread is ended if this future is dropped.
        let treasury = Self {
            redeem,
            earnings,
            settle,
            payout,
            channels,
            stop,
            thread: Some(thread),
        };
        opened.await.map_err(|_| TreasuryError::Closed)??;
        Ok(treasury)
    }

    /// Redeems all that can be redeemed now.
    ///
    /// # Errors
    ///
    /// Why it ended early; what was done by then is done.
    pub async fn redeem_now(&self) -> Result<Redemption, TreasuryError> {
        ask(&self.redeem, |answer| answer).await
    }

    /// What the relay has earned since its ledger began.
    ///
    /// # Errors
    ///
    /// When one of the files cannot be read.
    pub async fn earnings(&self) -> Result<Earnings, TreasuryError> {
        ask(&self.earnings, |answer| answer).await
    }

    /// Settles all channels that are closed, without waiting for their moment; with `all` closes
    /// the open ones first, whose clients then have to open others.
    ///
    /// # Errors
    ///
    /// [`TreasuryError::Ledger`], when it cannot be written; what was done by then is done.
    pub async fn settle_now(&self, all: bool) -> Result<Settlements, TreasuryError> {
        ask(&self.settle, |answer| Wish { all, answer }).await
    }

    /// The relay's channels, at most `limit`: those that take payments first, then those that are
    /// closed, then those that were settled; of each the ones that expire first.
    ///
    /// # Errors
    ///
    /// [`TreasuryError::Ledger`], when it cannot be read.
    pub async fn channels(&self, limit: usize) -> Result<Vec<ChannelView>, TreasuryError> {
        let ledger = self.channels.ledger().clone();
        let list = tokio::task::spawn_blocking(move || view::list(&ledger, limit)).await;
        Ok(list.map_err(|_| TreasuryError::Closed)??)
    }

    /// Pays a Lightning invoice (BOLT 11) with the relay's own coins of `mint`.
    ///
    /// # Errors
    ///
    /// [`TreasuryError::Coins`]: there are not enough, or the mint does not pay it. What is
    /// unfinished goes on by itself.
    pub async fn pay(&self, mint: &MintId, bolt11: &str) -> Result<Paid, TreasuryError> {
        let (mint, bolt11) = (mint.clone(), bolt11.to_owned());
        ask(&self.payout, |answer| Payout::Invoice(mint, bolt11, answer)).await
    }

    /// Takes `amount` of the relay's own coins out as a Cashu token, which every Cashu wallet
    /// receives. It is kept among [`Self::tokens`] until [`Self::forget_token`].
    ///
    /// # Errors
    ///
    /// [`TreasuryError::Coins`]: there are not enough, or the mint does not answer; then look among
    /// the tokens later before asking again.
    pub async fn token(&self, mint: &MintId, amount: Msat) -> Result<String, TreasuryError> {
        let mint = mint.clone();
        ask(&self.payout, |answer| Payout::Token(mint, amount, answer)).await
    }

    /// The tokens that were taken out and not forgotten; they may have been received since.
    ///
    /// # Errors
    ///
    /// [`TreasuryError::Closed`].
    pub async fn tokens(&self) -> Result<Vec<HandedOut>, TreasuryError> {
        ask(&self.payout, Payout::Tokens).await
    }

    /// A token is in safe hands and need not be kept here.
    ///
    /// # Errors
    ///
    /// [`TreasuryError::Coins`], when that cannot be written down.
    pub async fn forget_token(&self, token: &str) -> Result<(), TreasuryError> {
        let token = token.to_owned();
        ask(&self.payout, |answer| Payout::Forget(token, answer)).await
    }

    /// Stops. A redemption under way is finished at the next start.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // It panicked if this fails, and has said so.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

async fn ask<T, Q>(
    inbox: &mpsc::Sender<Q>,
    question: impl FnOnce(Question<T>) -> Q,
) -> Result<T, TreasuryError> {
    let (reply, answer) = oneshot::channel();
    let sent = inbox.send(question(reply)).await;
    sent.map_err(|_| TreasuryError::Closed)?;
    answer.await.map_err(|_| TreasuryError::Closed)?
}

impl Drop for Treasury {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for Treasury {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Treasury")
    }
}

/// Where the thread is asked.
struct Inboxes {
    redeem: mpsc::Receiver<Question<Redemption>>,
    earnings: mpsc::Receiver<Question<Earnings>>,
    settle: mpsc::Receiver<Wish>,
    payout: mpsc::Receiver<Payout>,
}

/// What the thread does until it is stopped.
async fn work(
    config: TreasuryConfig,
    verifier: Arc<RwLock<Verifier>>,
    channels: Channels,
    inboxes: Inboxes,
    ready: oneshot::Sender<Result<(), TreasuryError>>,
) {
    let redeemer = match Redeemer::open(&config.purse).await {
        Ok(redeemer) => redeemer,
        Err(error) => {
            // If nobody waits any more, nobody needs to know.
            let _ = ready.send(Err(error.into()));
            return;
        }
    };
    let mut keysets = Keysets::new(
        &config,
        redeemer.clone(),
        Arc::clone(&verifier),
        channels.clone(),
    );
    keysets.begin().await;
    let settler = Settler::new(redeemer.clone(), channels.clone());
    let payer = redeemer.clone();
    let money = Money::new(&config, redeemer, verifier, channels.ledger().clone());
    let _ = ready.send(Ok(()));
    // Beside each other: a mint that hangs must not keep the operator from looking.
    tokio::join!(
        keysets.keep_up(),
        money.look_after(inboxes.redeem),
        money.tell(inboxes.earnings),
        settler.look_after(inboxes.settle),
        pay_out(&payer, inboxes.payout)
    );
}
