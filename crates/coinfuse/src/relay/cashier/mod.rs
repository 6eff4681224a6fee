//! Payments at the relay: judge, hold, serve, write down, acknowledge.

mod vouchers;

use super::channels::{Act, Channels, Presented};
use crate::store::{AccountKey, Ledger};
use coinfuse_circuit::{AccountId, Offer, PayResult, PaymentNumber, RefusedItem};
use coinfuse_voucher::{MintId, Refusal, Verifier};
use coinfuse_wire::{Msat, UnixTime};
use std::sync::{Arc, RwLock};
use vouchers::{Held, Vouchers};

/// Takes payments.
pub(super) struct Cashier {
    vouchers: Vouchers,
    channels: Channels,
    /// The most of one payment that is served before it is on disk.
    serve_ahead: Msat,
}

/// A payment that was judged; its good part is held and not yet written.
pub(super) struct Judged {
    number: PaymentNumber,
    /// What may be served at once.
    pub(super) provisional: Msat,
    means: Means,
}

enum Means {
    Nothing(Vec<RefusedItem>),
    Vouchers(Held),
    Channel(Presented),
}

impl Cashier {
    pub(super) fn new(
        verifier: Arc<RwLock<Verifier>>,
        ledger: Ledger,
        channels: Channels,
        serve_ahead: Msat,
        mints: Vec<MintId>,
    ) -> Self {
        Self {
            vouchers: Vouchers::new(verifier, ledger, mints),
            channels,
            serve_ahead,
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
        let account = AccountKey::new(*account.as_bytes());
        let (worth, means) = match act(offer.method) {
            Some(act) => {
                let presented = self.channels.present(unix, account, act, &offer.payment);
                (presented.gain(), Means::Channel(presented))
            }
            None if offer.method == Offer::VOUCHERS => {
                let held = self.vouchers.judge(unix, account, &offer.payment);
                (held.fresh(), Means::Vouchers(held))
            }
            None => (Msat::ZERO, refused(Refusal::Malformed.code())),
        };
        Judged {
            number,
            provisional: match worth <= self.serve_ahead {
                true => worth,
                false => Msat::ZERO,
            },
            means,
        }
    }

    /// As [`Self::judge`], for the payment in a handshake: no channel, since whoever carried the
    /// handshake can send it again, and checking a new channel costs milliseconds.
    pub(super) fn judge_first(&self, unix: UnixTime, account: AccountId, offer: &Offer) -> Judged {
        let number = PaymentNumber::FIRST;
        match act(offer.method) {
            Some(_) => Judged {
                number,
                provisional: Msat::ZERO,
                means: refused(coinfuse_channel::Refusal::Unavailable.code()),
            },
            None => self.judge(unix, account, number, offer),
        }
    }
}

const fn act(method: u8) -> Option<Act> {
    match method {
        Offer::CHANNEL_OPEN => Some(Act::Open),
        Offer::CHANNEL_UPDATE => Some(Act::Update),
        Offer::CHANNEL_CLOSE => Some(Act::Close),
        _ => None,
    }
}

fn refused(reason: u8) -> Means {
    Means::Nothing(vec![RefusedItem { index: 0, reason }])
}

impl Judged {
    /// What was refused already, for the answer to a handshake.
    pub(super) fn refusals(&self) -> Option<PayResult> {
        let refused = match &self.means {
            Means::Nothing(refused) => refused,
            Means::Vouchers(held) => held.refused(),
            Means::Channel(_) => return None,
        };
        (!refused.is_empty()).then(|| PayResult {
            number: self.number,
            credited: Msat::ZERO,
            refused: refused.clone(),
        })
    }

    /// Writes the payment down; resolves when it is on disk, with what to tell the client.
    pub(super) async fn commit(self) -> PayResult {
        let (credited, refused) = match self.means {
            Means::Nothing(refused) => (Msat::ZERO, refused),
            Means::Vouchers(held) => held.commit().await,
            Means::Channel(presented) => match presented.commit().await {
                Ok(credited) => (credited, Vec::new()),
                Err(refusal) => {
                    let reason = refusal.code();
                    (Msat::ZERO, vec![RefusedItem { index: 0, reason }])
                }
            },
        };
        PayResult {
            number: self.number,
            credited,
            refused,
        }
    }
}
