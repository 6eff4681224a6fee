//! Between the channels' machines and the ledger.

use super::ChannelPolicy;
use super::slots::{Entry, Slots, State, Tie};
use crate::store::{
    AccountKey, ChannelKey, ChannelStage, ChannelWrite, Ledger, LedgerError, StageKind,
};
use cashu::Amount;
use coinfuse_channel::{
    ChannelId, Open, Params, Receiver, ReceiverState, Refusal, Row, Terms, Unsaved, Update,
};
use coinfuse_voucher::{MintId, Unit};
use coinfuse_wire::{Msat, UnixTime};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{Notify, Semaphore};

/// Channels that are read or checked at once: each keeps a core busy for some milliseconds.
const HEAVY: usize = 2;
/// Those that wait for it. Each holds a message of up to 8 KiB.
const QUEUE: usize = 1024;
/// An unknown keyset is asked for at most this often, in seconds.
const ASK_AGAIN: u64 = 10;

pub(crate) struct Book {
    pub(super) terms: RwLock<Arc<Terms>>,
    pub(super) policy: ChannelPolicy,
    pub(super) ledger: Ledger,
    pub(super) slots: Arc<Slots>,
    /// Somebody came with a keyset that is not known.
    pub(super) wanted: Notify,
    /// When the mints were last asked for their keysets, in seconds.
    asked: AtomicU64,
    mints: Vec<MintId>,
    heavy: Semaphore,
    queue: Semaphore,
}

/// A step of a channel that pays, to be written down.
pub(super) struct Step {
    tie: Tie,
    next: Unsaved<Receiver>,
    /// All that the channel has paid then.
    paid: Msat,
    /// What of it is new.
    pub(super) gain: Msat,
}

impl Book {
    pub(super) fn new(
        terms: Terms,
        mints: Vec<MintId>,
        ledger: Ledger,
        policy: ChannelPolicy,
    ) -> Self {
        Self {
            terms: RwLock::new(Arc::new(terms)),
            slots: Arc::new(Slots::new(policy.max_loaded)),
            policy,
            ledger,
            wanted: Notify::new(),
            asked: AtomicU64::new(0),
            mints,
            heavy: Semaphore::new(HEAVY),
            queue: Semaphore::new(QUEUE),
        }
    }

    pub(super) fn terms(&self) -> Arc<Terms> {
        let terms = self.terms.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&terms)
    }

    pub(super) fn asked(&self, now: UnixTime) {
        self.asked.store(now.secs(), Relaxed);
    }

    /// The channel as it stands, when nobody else works on it.
    pub(super) async fn enter(&self, id: ChannelId) -> Result<Entry, Refusal> {
        let mut entry = self.slots.enter(id).await?;
        match entry.state() {
            State::Open(..) | State::Over(_) => return Ok(entry),
            // Where the step may still wait, reading now would miss it.
            State::Away => self.ledger.flush().await.map_err(refusal)?,
            State::Unknown => {}
        }
        let (ledger, terms) = (self.ledger.clone(), self.terms());
        let state = self
            .off_thread(move || read(&ledger, &terms, &id))
            .await??;
        entry.set(state);
        Ok(entry)
    }

    /// Takes an update, if the channel is open and the account's.
    pub(super) fn receive(
        entry: &mut Entry,
        now: UnixTime,
        account: AccountKey,
        update: &Update,
    ) -> Result<Step, Refusal> {
        match entry.state() {
            State::Open(tie, _) if tie.account != account => return Err(Refusal::OtherAccount),
            State::Open(..) => {}
            State::Over(owner) if *owner != account => return Err(Refusal::OtherAccount),
            State::Over(_) => return Err(Refusal::Closed),
            State::Unknown => return Err(Refusal::UnknownChannel),
            State::Away => return Err(Refusal::Unavailable),
        }
        let State::Open(tie, receiver) = entry.take() else {
            return Err(Refusal::Unavailable);
        };
        let before = value(tie.unit, receiver.balance());
        match receiver.receive(now, update) {
            Ok(next) => {
                let paid = value(tie.unit, update.balance);
                Ok(Step {
                    tie,
                    next,
                    paid,
                    gain: paid.saturating_sub(before),
                })
            }
            Err(unmoved) => {
                entry.set(State::Open(tie, unmoved.state));
                Err(unmoved.error)
            }
        }
    }

    /// Reads an opening message; some of its points take their time.
    pub(super) async fn read_opening(&self, bytes: Vec<u8>) -> Result<Open, Refusal> {
        use coinfuse_wire::Decode;
        let open = self.off_thread(move || Open::from_bytes(&bytes)).await?;
        open.map_err(|_| Refusal::Malformed)
    }

    /// Checks a channel that is not known.
    pub(super) async fn open(
        &self,
        now: UnixTime,
        account: AccountKey,
        open: Open,
    ) -> Result<Step, Refusal> {
        if self.slots.count_of(&account) >= self.policy.max_per_account {
            return Err(Refusal::TooManyChannels);
        }
        let unit = self.check_capacity(&open.params)?;
        let (ledger, terms, most) = (self.ledger.clone(), self.terms(), self.policy.max_unsettled);
        let (params, balance) = (open.params.clone(), open.update.balance);
        let checked = self.off_thread(move || {
            let totals = ledger.totals().map_err(refusal)?.channels;
            match totals.opened.saturating_sub(totals.closed) < most {
                true => terms.open(now, &open),
                false => Err(Refusal::TooManyChannels),
            }
        });
        let next = checked.await?;
        let next = next.map_err(|refusal| self.explain(now, &params, refusal))?;
        let paid = value(unit, balance);
        let expiry = params.expiry;
        Ok(Step {
            tie: Tie {
                account,
                unit,
                expiry,
            },
            next,
            paid,
            gain: paid,
        })
    }

    fn check_capacity(&self, params: &Params) -> Result<Unit, Refusal> {
        let unit = Unit::from_cashu(&params.unit).ok_or(Refusal::UnknownMint)?;
        let got = params.capacity.to_u64();
        let least = unit.units_for(self.policy.min_capacity);
        let most = self.policy.max_capacity.get() / value(unit, Amount::ONE).get();
        match got {
            _ if got < least => Err(Refusal::CapacityTooSmall { got, least }),
            _ if got > most => Err(Refusal::CapacityTooLarge { got, most }),
            _ => Ok(unit),
        }
    }

    /// A mint that is accepted may not have answered yet, or have turned its keyset over a moment
    /// ago: that is no fault of the sender's, who would give the channel up.
    fn explain(&self, now: UnixTime, params: &Params, refusal: Refusal) -> Refusal {
        let listed = |mint: &MintId| {
            mint.url().to_string() == params.mint && mint.unit().to_cashu() == params.unit
        };
        let old = now.secs() >= self.asked.load(Relaxed).saturating_add(ASK_AGAIN);
        match refusal {
            Refusal::UnknownMint | Refusal::UnknownKeyset
                if old && self.mints.iter().any(listed) =>
            {
                self.wanted.notify_one();
                Refusal::Unavailable
            }
            other => other,
        }
    }

    /// Writes a step down, and credits what it gains; then it has happened.
    pub(super) async fn save(&self, entry: &mut Entry, step: Step) -> Result<Msat, Refusal> {
        let Step {
            tie,
            next,
            paid,
            gain,
        } = step;
        // From here on only the ledger knows, should this be given up.
        entry.take();
        let written = next.save_async(|row| self.write(tie, row, paid, ChannelStage::Open));
        match written.await {
            Ok(receiver) => {
                entry.set(State::Open(tie, receiver));
                Ok(gain)
            }
            Err(not_saved) => Err(Self::give_up(entry, not_saved.error)),
        }
    }

    /// After a step that was not saved.
    fn give_up(entry: &mut Entry, error: LedgerError) -> Refusal {
        if let LedgerError::OtherAccount | LedgerError::ChannelSettled = error {
            // Nothing was written, for certain.
            entry.set(State::Unknown);
        }
        refusal(error)
    }

    /// The channel takes no more; nothing happens if it takes none already.
    pub(super) async fn close(&self, entry: &mut Entry) -> Result<(), Refusal> {
        if !matches!(entry.state(), State::Open(..)) {
            return Ok(());
        }
        let State::Open(tie, receiver) = entry.take() else {
            return Ok(());
        };
        let paid = value(tie.unit, receiver.balance());
        let closing = receiver.settle();
        let written = closing.save_async(|row| self.write(tie, row, paid, ChannelStage::Closing));
        match written.await {
            Ok(_) => {
                entry.set(State::Over(tie.account));
                Ok(())
            }
            Err(not_saved) => Err(Self::give_up(entry, not_saved.error)),
        }
    }

    async fn write(
        &self,
        tie: Tie,
        row: Row,
        credited: Msat,
        stage: ChannelStage,
    ) -> Result<(), LedgerError> {
        let write = ChannelWrite {
            channel: ChannelKey::new(*row.channel.as_bytes()),
            account: tie.account,
            part: row.part,
            bytes: row.bytes.to_vec(),
            credited,
            expiry: tie.expiry,
            stage,
        };
        self.ledger.write_channel(write).await.map(drop)
    }

    /// For work that would hold up the data.
    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let unavailable = Refusal::Unavailable;
        let _place = self.queue.try_acquire().map_err(|_| unavailable.clone())?;
        let _turn = self
            .heavy
            .acquire()
            .await
            .map_err(|_| unavailable.clone())?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| unavailable)
    }
}

fn read(ledger: &Ledger, terms: &Terms, id: &ChannelId) -> Result<State, Refusal> {
    let key = ChannelKey::new(*id.as_bytes());
    let Some(stored) = ledger.channel(&key).map_err(refusal)? else {
        return Ok(State::Unknown);
    };
    let (account, expiry) = (stored.record.account, stored.record.expiry);
    if stored.record.stage.kind() != StageKind::Open {
        return Ok(State::Over(account));
    }
    match Receiver::load(terms, &stored.rows) {
        Ok(ReceiverState::Open(receiver)) => {
            let unit = Unit::from_cashu(&receiver.params().unit).ok_or(Refusal::Unavailable)?;
            let tie = Tie {
                account,
                unit,
                expiry,
            };
            Ok(State::Open(tie, receiver))
        }
        Ok(_) => Ok(State::Over(account)),
        Err(error) => {
            tracing::error!(%error, "a channel in the ledger cannot be read");
            Err(Refusal::Unavailable)
        }
    }
}

/// Capacities were checked to fit when channels were opened.
pub(super) fn value(unit: Unit, amount: Amount) -> Msat {
    unit.value(amount.to_u64()).unwrap_or(Msat::MAX)
}

fn refusal(error: LedgerError) -> Refusal {
    match error {
        LedgerError::OtherAccount => Refusal::OtherAccount,
        LedgerError::ChannelSettled => Refusal::Closed,
        error => {
            tracing::error!(%error, "a channel's payment could not be written down");
            Refusal::Unavailable
        }
    }
}
