//! Where clients present the messages of their channels.

use super::book::{Book, Step};
use super::slots::{Entry, State};
use crate::store::AccountKey;
use coinfuse_channel::{Refusal, Update};
use coinfuse_wire::{Decode, Msat, UnixTime};
use std::sync::Arc;

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// To open a channel; to update it, if it is known.
    Open,
    /// To update a channel.
    Update,
    /// To update it if that pays more, and then to close it.
    Close,
}

/// What a client presented, judged as far as was possible at once.
pub(crate) struct Presented {
    book: Arc<Book>,
    now: UnixTime,
    account: AccountKey,
    act: Act,
    progress: Progress,
}

enum Progress {
    Refused(Refusal),
    /// The channel was at hand.
    Judged(Entry, Box<Result<Step, Refusal>>),
    /// It is with somebody else, or not in memory.
    Waiting(Update),
    Opening(Vec<u8>),
}

impl Presented {
    pub(super) fn new(
        book: Arc<Book>,
        now: UnixTime,
        account: AccountKey,
        act: Act,
        payment: &[u8],
    ) -> Self {
        let progress = match (act, Update::from_bytes(payment)) {
            (Act::Open, _) => Progress::Opening(payment.to_vec()),
            (_, Err(_)) => Progress::Refused(Refusal::Malformed),
            (_, Ok(update)) => match book.slots.try_enter(update.channel) {
                Some(mut entry) => {
                    let judged = Book::receive(&mut entry, now, account, &update);
                    Progress::Judged(entry, Box::new(judged))
                }
                None => Progress::Waiting(update),
            },
        };
        Self {
            book,
            now,
            account,
            act,
            progress,
        }
    }

    /// What it will pay, if that is known already: the most that may be served ahead.
    pub(crate) fn gain(&self) -> Msat {
        match &self.progress {
            Progress::Judged(_, judged) => judged
                .as_ref()
                .as_ref()
                .map_or(Msat::ZERO, |step| step.gain),
            _ => Msat::ZERO,
        }
    }

    /// Carries it out; resolves when it is on disk, with what was credited.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: nothing was credited.
    pub(crate) async fn commit(self) -> Result<Msat, Refusal> {
        let (book, account, now) = (self.book, self.account, self.now);
        let (mut entry, judged) = match self.progress {
            Progress::Refused(refusal) => return Err(refusal),
            Progress::Judged(entry, judged) => (entry, *judged),
            Progress::Waiting(update) => {
                let mut entry = book.enter(update.channel).await?;
                let judged = Book::receive(&mut entry, now, account, &update);
                (entry, judged)
            }
            Progress::Opening(bytes) => {
                let open = book.read_opening(bytes).await?;
                let mut entry = book.enter(open.update.channel).await?;
                let judged = match entry.state() {
                    State::Unknown => book.open(now, account, open).await,
                    _ => Book::receive(&mut entry, now, account, &open.update),
                };
                (entry, judged)
            }
        };
        let closes = self.act == Act::Close;
        let credited = match judged {
            Ok(step) => book.save(&mut entry, step).await?,
            Err(refusal) if is_in_order(&refusal, closes) => Msat::ZERO,
            Err(refusal) => return Err(refusal),
        };
        if closes && book.close(&mut entry).await.is_err() {
            // What was paid is paid; the channel is closed later, by the treasury.
            tracing::warn!("a channel could not be closed when its client asked for it");
        }
        Ok(credited)
    }
}

/// Whether what the client wants is so, though this message pays nothing.
const fn is_in_order(refusal: &Refusal, closes: bool) -> bool {
    match refusal {
        Refusal::Replay => true,
        Refusal::LowerBalance { .. } | Refusal::Expired | Refusal::Closed => closes,
        _ => false,
    }
}
