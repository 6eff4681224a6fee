//! A relay's channels, for its operator to look at.

use crate::store::{ChannelRecord, ChannelStage, Ledger, LedgerError, StageKind};
use coinfuse_channel::Receiver;
use coinfuse_voucher::Unit;
use coinfuse_wire::{Msat, UnixTime};

/// A channel as its operator sees it; nothing in it is about the client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelView {
    /// The first four bytes of its id, as eight hexadecimal digits: enough to tell channels apart.
    pub name: String,
    /// The most that it can pay; zero if the ledger has it no more.
    pub capacity: Msat,
    /// What it has paid.
    pub paid: Msat,
    /// How far it has come.
    pub stage: ChannelStage,
    /// When its client may take the money back.
    pub expiry: UnixTime,
}

/// The first `limit` channels, stage by stage.
pub(super) fn list(ledger: &Ledger, limit: usize) -> Result<Vec<ChannelView>, LedgerError> {
    let mut list = Vec::new();
    for stage in [StageKind::Open, StageKind::Closing, StageKind::Settled] {
        let page = ledger.channels(stage, None, None, limit - list.len())?;
        for record in &page {
            list.push(view(ledger, record)?);
        }
    }
    Ok(list)
}

fn view(ledger: &Ledger, record: &ChannelRecord) -> Result<ChannelView, LedgerError> {
    let stored = ledger.channel(&record.channel)?;
    let params = stored.and_then(|stored| Receiver::stored_params(&stored.rows).ok());
    let capacity = params.and_then(|params| {
        let unit = Unit::from_cashu(&params.unit)?;
        unit.value(params.capacity.to_u64())
    });
    Ok(ChannelView {
        name: hex::encode(&record.channel.as_bytes()[..4]),
        capacity: capacity.unwrap_or_default(),
        paid: record.credited,
        stage: record.stage,
        expiry: record.expiry,
    })
}
