//! The storage thread: takes all that waits, writes it in one transaction, then answers.

use super::hold::{Reservation, Shared};
use super::queue::{Batch, Command, Entry};
use super::tables::Tables;
use super::types::{Credit, LedgerError, Outcome, Outlook};
use coinfuse_wire::Msat;
use redb::Database;
use std::sync::Arc;

/// Runs until the ledger is closed and all that waited has been done, or the disk fails.
pub(super) fn run(db: Arc<Database>, shared: &Shared) {
    let _ending = Ending(shared);
    let mut last = false;
    while !last {
        let mut batch = shared.queue.next();
        last = batch.last;
        if let Err(error) = write(&db, &mut batch) {
            // Before the batch is dropped, so that its callers find the cause.
            shared.queue.end(Some(LedgerError::storage(error)));
            break;
        }
        batch.commands.into_iter().for_each(Entry::done);
    }
    drop(db);
}

/// Refuses all work once the thread is gone, be it by a panic.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.queue.end(None);
        self.0.front.close();
        self.0.ended.close();
    }
}

/// One transaction, one sync.
fn write(db: &Database, batch: &mut Batch) -> Result<(), redb::Error> {
    if batch.commands.is_empty() && batch.uses.is_empty() {
        return Ok(());
    }
    let txn = db.begin_write()?;
    let mut tables = Tables::open(&txn)?;
    // Use first: the balances that are answered contain it.
    for (account, used) in batch.uses.iter() {
        tables.raise_use(account, *used)?;
    }
    // Channels in the order of their keys, as the pages of the file are; what has none stays in
    // front in its own order. All of them are under way at once, so no caller can tell.
    batch
        .commands
        .sort_by(|one, other| one.command.channel().cmp(&other.command.channel()));
    for entry in &mut batch.commands {
        apply(&mut tables, &mut entry.command)?;
    }
    tables.finish()?;
    Ok(txn.commit()?)
}

fn apply(tables: &mut Tables<'_>, command: &mut Command) -> Result<(), redb::Error> {
    match command {
        Command::Credit { reservation, reply } => reply.ready(credit(tables, reservation)?),
        Command::Collect { reservation, reply } => reply.ready(collect(tables, reservation)?),
        Command::Channel { write, reply } => reply.ready(tables.write_channel(write)?),
        Command::ForgetChannels {
            before,
            limit,
            reply,
        } => reply.ready(tables.forget_channels(*before, *limit)?),
        Command::Redeemed { keys, reply } => {
            keys.iter().try_for_each(|key| tables.redeemed(key))?;
            reply.ready(());
        }
        Command::Prune {
            before,
            limit,
            reply,
        } => reply.ready(tables.prune(*before, *limit)?),
        Command::Flush { reply } => reply.ready(()),
    }
    Ok(())
}

fn credit(tables: &mut Tables<'_>, reservation: &Reservation) -> Result<Credit, redb::Error> {
    let mut outcomes = Vec::new();
    let mut sum = Msat::ZERO;
    for (voucher, outlook) in reservation.vouchers() {
        let outcome = match outlook {
            // Another circuit serves ahead on it; it must not be taken from under that one.
            Outlook::Spent => Outcome::Spent,
            _ => tables.take(reservation.account(), voucher)?,
        };
        if outcome == Outcome::Credited {
            sum = sum.saturating_add(voucher.value);
        }
        outcomes.push(outcome);
    }
    Ok(Credit {
        outcomes,
        balance: tables.credit(reservation.account(), sum)?,
    })
}

fn collect(tables: &mut Tables<'_>, reservation: &Reservation) -> Result<Vec<bool>, redb::Error> {
    let each = reservation.vouchers().map(|(voucher, outlook)| {
        // Only what nobody has shown before: one that is on its way pays for another packet.
        Ok(outlook == Outlook::Fresh && tables.collect(voucher)?)
    });
    each.collect()
}
