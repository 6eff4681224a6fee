//! Vouchers that pay for packets.

use super::*;

#[tokio::test]
async fn a_voucher_pays_for_one_packet() {
    let ledger = open(&Disk::default());
    let batch = vec![voucher(1, 16), voucher(2, 32), voucher(1, 16)];
    assert_eq!(ledger.collect(batch).await.unwrap(), [true, true, false]);
    let again = vec![voucher(2, 32), voucher(3, 8)];
    assert_eq!(ledger.collect(again).await.unwrap(), [false, true]);

    let totals = ledger.totals().unwrap();
    let fees = Msat::new(56);
    assert_eq!(totals.packets, PacketTotals { taken: 3, fees });
    assert_eq!((totals.credited, totals.used), (fees, fees));
    assert_eq!(totals.vouchers, 3);
    assert_eq!(ledger.collected(9).unwrap().len(), 3, "to be redeemed");
}

#[tokio::test]
async fn two_batches_under_way_cannot_both_have_a_voucher() {
    let disk = Disk::default();
    let ledger = open(&disk);
    disk.stall(true);
    let mut first = Box::pin(ledger.collect(vec![voucher(1, 16)]));
    assert!(poll_once(first.as_mut()).await.is_none());
    let mut second = Box::pin(ledger.collect(vec![voucher(1, 16)]));
    assert!(poll_once(second.as_mut()).await.is_none());
    disk.stall(false);
    assert_eq!(second.await.unwrap(), [false]);
    assert_eq!(first.await.unwrap(), [true]);
}

#[tokio::test]
async fn a_packet_and_an_account_cannot_have_the_same_voucher() {
    let ledger = open(&Disk::default());
    ledger.credit(ALICE, vec![voucher(1, 16)]).await.unwrap();
    let held = ledger.reserve(ALICE, vec![voucher(2, 16)]).unwrap();
    let batch = vec![voucher(1, 16), voucher(2, 16), voucher(3, 16)];
    assert_eq!(ledger.collect(batch).await.unwrap(), [false, false, true]);
    // Who served ahead on it gets it, and what a packet has paid credits nobody.
    assert_eq!(held.commit().await.unwrap().outcomes, [Outcome::Credited]);
    let late = ledger.credit(BOB, vec![voucher(3, 16)]).await.unwrap();
    assert_eq!(late.outcomes, [Outcome::Spent]);
}

#[tokio::test]
async fn what_paid_for_a_packet_is_spent_after_a_power_cut() {
    let disk = Disk::default();
    let ledger = open(&disk);
    assert_eq!(ledger.collect(vec![voucher(1, 16)]).await.unwrap(), [true]);
    drop(ledger);
    let ledger = open(&disk.after_power_cut());
    let batch = vec![voucher(1, 16), voucher(2, 16)];
    assert_eq!(ledger.collect(batch).await.unwrap(), [false, true]);
    assert_eq!(ledger.totals().unwrap().packets.taken, 2);
}

#[tokio::test]
async fn a_failing_disk_pays_for_no_packet() {
    let disk = Disk::default();
    let ledger = open(&disk);
    disk.fail(true);
    let refused = ledger.collect(vec![voucher(1, 16)]).await;
    assert!(matches!(refused, Err(LedgerError::Storage(_))));
}
