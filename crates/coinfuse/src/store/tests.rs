//! The ledger by itself; `disk` is a disk in a variable, which can lose its power.

mod channels;
mod disk;
mod model;
mod packets;

use super::*;
use coinfuse_wire::{Msat, UnixTime};
use disk::Disk;
use std::time::Duration;

const ALICE: AccountKey = AccountKey::new([0xa1; 32]);
const BOB: AccountKey = AccountKey::new([0xb0; 32]);

fn voucher(name: u8, value: u64) -> CollectedVoucher {
    CollectedVoucher {
        key: VoucherKey::new([name; 32]),
        value: Msat::new(value),
        locktime: UnixTime::from_secs(1_000 + u64::from(name)),
        bytes: vec![name; 80],
    }
}

fn open(disk: &Disk) -> Ledger {
    open_with(
        disk,
        LedgerConfig {
            flush_after: Duration::from_millis(1),
            ..Default::default()
        },
    )
}

fn open_with(disk: &Disk, config: LedgerConfig) -> Ledger {
    let db = redb::Builder::new()
        .create_with_backend(disk.clone())
        .expect("a sound file");
    Ledger::start(db, config).expect("a working disk")
}

fn credited(ledger: &Ledger, account: AccountKey) -> u64 {
    ledger.load(&account).unwrap().credited.get()
}

#[tokio::test]
async fn a_voucher_is_credited_once_and_to_one_account() {
    let ledger = open(&Disk::default());
    let vouchers = vec![voucher(1, 64), voucher(2, 32)];

    let first = ledger.credit(ALICE, vouchers.clone()).await.unwrap();
    assert_eq!(first.outcomes, [Outcome::Credited; 2]);
    assert_eq!(
        first.balance,
        Balance {
            credited: Msat::new(96),
            used: Msat::ZERO
        }
    );

    let again = ledger.credit(ALICE, vouchers.clone()).await.unwrap();
    assert_eq!(again.outcomes, [Outcome::AlreadyCredited; 2]);
    assert_eq!(again.balance, first.balance);

    let other = ledger
        .credit(BOB, vec![voucher(3, 8), voucher(1, 64)])
        .await
        .unwrap();
    assert_eq!(other.outcomes, [Outcome::Credited, Outcome::Spent]);
    assert_eq!(other.balance.credited, Msat::new(8));
    assert_eq!(ledger.totals().unwrap().credited, Msat::new(104));
    assert_eq!(ledger.totals().unwrap().vouchers, 3);
}

#[tokio::test]
async fn one_voucher_twice_in_one_call_counts_once() {
    let ledger = open(&Disk::default());
    let reservation = ledger
        .reserve(ALICE, vec![voucher(1, 64), voucher(1, 64)])
        .unwrap();
    assert_eq!(reservation.outlook(), [Outlook::Fresh, Outlook::Pending]);
    assert_eq!(reservation.fresh(), Msat::new(64));
    let credit = reservation.commit().await.unwrap();
    assert_eq!(
        credit.outcomes,
        [Outcome::Credited, Outcome::AlreadyCredited]
    );
    assert_eq!(credit.balance.credited, Msat::new(64));
}

#[tokio::test]
async fn two_circuits_cannot_both_serve_ahead_on_one_voucher() {
    let ledger = open(&Disk::default());
    let held = ledger.reserve(ALICE, vec![voucher(1, 64)]).unwrap();

    let same = ledger.reserve(ALICE, vec![voucher(1, 64)]).unwrap();
    assert_eq!(same.outlook(), [Outlook::Pending]);
    assert_eq!(same.fresh(), Msat::ZERO);
    drop(same);

    let thief = ledger.reserve(BOB, vec![voucher(1, 64)]).unwrap();
    assert_eq!(thief.outlook(), [Outlook::Spent]);
    // Even though the thief commits first, the holder gets what it served ahead on.
    assert_eq!(thief.commit().await.unwrap().outcomes, [Outcome::Spent]);
    assert_eq!(held.commit().await.unwrap().outcomes, [Outcome::Credited]);

    let late = ledger.reserve(ALICE, vec![voucher(1, 64)]).unwrap();
    assert_eq!(late.outlook(), [Outlook::AlreadyCredited]);
}

#[tokio::test]
async fn a_reservation_that_is_dropped_leaves_the_voucher_to_its_owner() {
    let ledger = open(&Disk::default());
    drop(ledger.reserve(ALICE, vec![voucher(1, 64)]).unwrap());
    assert_eq!(
        ledger.reserve(BOB, vec![voucher(1, 64)]).unwrap().outlook(),
        [Outlook::Fresh]
    );
    assert_eq!(credited(&ledger, ALICE), 0);
}

#[tokio::test]
async fn a_caller_that_goes_away_is_credited_all_the_same() {
    let ledger = open(&Disk::default());
    let mut commit = Box::pin(
        ledger
            .reserve(ALICE, vec![voucher(1, 64)])
            .unwrap()
            .commit(),
    );
    let polled = poll_once(commit.as_mut()).await;
    assert!(polled.is_none_or(|credit| credit.is_ok()));
    drop(commit);
    ledger.flush().await.unwrap();
    assert_eq!(credited(&ledger, ALICE), 64);
}

async fn poll_once<F: Future>(mut future: core::pin::Pin<&mut F>) -> Option<F::Output> {
    core::future::poll_fn(|cx| {
        core::task::Poll::Ready(match future.as_mut().poll(cx) {
            core::task::Poll::Ready(output) => Some(output),
            core::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn use_only_grows_and_is_seen_before_it_is_on_disk() {
    let disk = Disk::default();
    let never = LedgerConfig {
        flush_after: Duration::from_secs(3600),
        ..Default::default()
    };
    let ledger = open_with(&disk, never);
    ledger.credit(ALICE, vec![voucher(1, 64)]).await.unwrap();

    ledger.record_use(ALICE, Msat::new(40));
    ledger.record_use(ALICE, Msat::new(30));
    let balance = ledger.load(&ALICE).unwrap();
    assert_eq!(
        (balance.used, balance.available()),
        (Msat::new(40), Msat::new(24))
    );
    assert_eq!(ledger.totals().unwrap().used, Msat::ZERO);

    // The next commit takes it along, hour or no hour, and an old figure stays old after it.
    let credit = ledger.credit(ALICE, vec![voucher(2, 1)]).await.unwrap();
    assert_eq!(credit.balance.used, Msat::new(40));
    ledger.record_use(ALICE, Msat::new(35));
    ledger.close().await.unwrap();
    let totals = open(&disk).totals().unwrap();
    assert_eq!(
        (totals.credited, totals.used),
        (Msat::new(65), Msat::new(40))
    );
}

#[tokio::test]
async fn use_alone_reaches_the_disk_by_itself() {
    let disk = Disk::default();
    let ledger = open(&disk);
    let before = disk.syncs();
    ledger.record_use(ALICE, Msat::new(7));
    disk.wait_for_syncs(before + 1);
    ledger.close().await.unwrap();
    assert_eq!(open(&disk).load(&ALICE).unwrap().used, Msat::new(7));
}

#[tokio::test]
async fn everything_is_there_after_a_clean_restart() {
    let disk = Disk::default();
    let ledger = open(&disk);
    ledger.credit(ALICE, vec![voucher(1, 64)]).await.unwrap();
    ledger.record_use(ALICE, Msat::new(5));
    drop(ledger);

    let ledger = open(&disk);
    let balance = Balance {
        credited: Msat::new(64),
        used: Msat::new(5),
    };
    assert_eq!(ledger.load(&ALICE).unwrap(), balance);
    assert_eq!(ledger.collected(9).unwrap(), [voucher(1, 64)]);
}

#[tokio::test]
async fn a_redeemed_voucher_leaves_the_pile_but_not_the_spent_set() {
    let ledger = open(&Disk::default());
    ledger
        .credit(ALICE, vec![voucher(1, 64), voucher(2, 32)])
        .await
        .unwrap();
    for _ in 0..2 {
        ledger
            .mark_redeemed(vec![voucher(1, 64).key])
            .await
            .unwrap();
        assert_eq!(ledger.collected(9).unwrap(), [voucher(2, 32)]);
        assert_eq!(ledger.totals().unwrap().redeemed, Msat::new(64));
    }
    let thief = ledger.credit(BOB, vec![voucher(1, 64)]).await.unwrap();
    assert_eq!(thief.outcomes, [Outcome::Spent]);
}

#[tokio::test]
async fn pruning_forgets_expired_vouchers_oldest_first() {
    let ledger = open(&Disk::default());
    ledger
        .credit(ALICE, vec![voucher(3, 1), voucher(1, 1), voucher(2, 1)])
        .await
        .unwrap();
    let before = UnixTime::from_secs(1_003);
    assert_eq!(ledger.prune(before, 1).await.unwrap(), 1);
    let outlook = |name| {
        ledger
            .reserve(BOB, vec![voucher(name, 1)])
            .unwrap()
            .outlook()[0]
    };
    assert_eq!(
        [outlook(1), outlook(2), outlook(3)],
        [Outlook::Fresh, Outlook::Spent, Outlook::Spent]
    );
    assert_eq!(ledger.prune(before, 9).await.unwrap(), 1);
    assert_eq!([outlook(2), outlook(3)], [Outlook::Fresh, Outlook::Spent]);
    assert_eq!(
        ledger.collected(9).unwrap().len(),
        3,
        "what is not redeemed is kept"
    );
}

#[tokio::test]
async fn commands_that_wait_share_one_sync() {
    let disk = Disk::default();
    let ledger = open(&disk);
    disk.stall(true);
    let mut first = Box::pin(ledger.credit(ALICE, vec![voucher(0, 1)]));
    assert!(poll_once(first.as_mut()).await.is_none());
    disk.wait_until_stalled();
    let before = disk.syncs();
    let mut rest: Vec<_> = (1..=100)
        .map(|name| {
            Box::pin(
                ledger
                    .reserve(ALICE, vec![voucher(name, 1)])
                    .unwrap()
                    .commit(),
            )
        })
        .collect();
    for commit in &mut rest {
        assert!(poll_once(commit.as_mut()).await.is_none());
    }
    disk.stall(false);
    for commit in rest {
        assert_eq!(commit.await.unwrap().outcomes, [Outcome::Credited]);
    }
    first.await.unwrap();
    // The stalled commit's own and one more commit.
    assert!(
        disk.syncs() - before <= 4,
        "{} syncs",
        disk.syncs() - before
    );
    assert_eq!(credited(&ledger, ALICE), 101);
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait() {
    let disk = Disk::default();
    let ledger = open_with(
        &disk,
        LedgerConfig {
            queue: 2,
            ..Default::default()
        },
    );
    disk.stall(true);
    let mut flushes: Vec<_> = (0..3).map(|_| Box::pin(ledger.flush())).collect();
    for flush in &mut flushes {
        assert!(poll_once(flush.as_mut()).await.is_none());
    }
    assert_eq!(ledger.free_places(), 0);
    disk.stall(false);
    for flush in flushes {
        flush.await.unwrap();
    }
}

#[tokio::test]
async fn a_failing_disk_is_told_to_everybody_and_loses_nothing_acknowledged() {
    let disk = Disk::default();
    let ledger = open(&disk);
    ledger.credit(ALICE, vec![voucher(1, 64)]).await.unwrap();
    disk.fail(true);
    for _ in 0..2 {
        let refused = ledger.credit(ALICE, vec![voucher(2, 32)]).await;
        assert!(
            matches!(refused, Err(LedgerError::Storage(_))),
            "{refused:?}"
        );
    }
    assert!(matches!(ledger.flush().await, Err(LedgerError::Storage(_))));
    drop(ledger);
    disk.fail(false);

    let ledger = open(&disk.after_power_cut());
    assert_eq!(credited(&ledger, ALICE), 64);
    let retried = ledger.credit(ALICE, vec![voucher(2, 32)]).await.unwrap();
    assert_eq!(retried.balance.credited, Msat::new(96));
}

#[tokio::test]
async fn a_closed_ledger_refuses() {
    let ledger = open(&Disk::default());
    ledger.close().await.unwrap();
    assert!(matches!(ledger.load(&ALICE), Err(LedgerError::Closed)));
    assert!(matches!(
        ledger.reserve(ALICE, vec![]),
        Err(LedgerError::Closed)
    ));
    assert!(matches!(ledger.flush().await, Err(LedgerError::Closed)));
}

#[tokio::test]
async fn a_second_relay_on_the_same_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let first = Ledger::open(&path, LedgerConfig::default()).unwrap();
    assert!(matches!(
        Ledger::open(&path, LedgerConfig::default()),
        Err(LedgerError::InUse)
    ));
    first.close().await.unwrap();
    Ledger::open(&path, LedgerConfig::default()).unwrap();
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let _ledger = Ledger::open(&path, LedgerConfig::default()).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn debugging_shows_no_key_and_no_money_bytes() {
    let shown = format!("{ALICE:?} {:?}", voucher(7, 64));
    assert_eq!(
        shown,
        "AccountKey([scrubbed]) CollectedVoucher { value: Msat(64), .. }"
    );
}
