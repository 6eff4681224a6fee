//! Channels: credited once, bound to one account, listed by expiry, forgotten when settled.

use super::*;

fn channel(name: u8) -> ChannelKey {
    ChannelKey::new([name; 32])
}

/// A transition of channel `name`, which is Alice's and expires at 1000 + `name`.
fn write(name: u8, credited: u64, stage: ChannelStage) -> ChannelWrite {
    ChannelWrite {
        channel: channel(name),
        account: ALICE,
        part: 0,
        bytes: vec![name; 100],
        credited: Msat::new(credited),
        expiry: UnixTime::from_secs(1_000 + u64::from(name)),
        stage,
    }
}

fn update(name: u8, credited: u64) -> ChannelWrite {
    write(name, credited, ChannelStage::Open)
}

fn settled(name: u8, credited: u64, received: u64, fees: u64) -> ChannelWrite {
    let (received, fees) = (Msat::new(received), Msat::new(fees));
    let settlement = Settlement { received, fees };
    write(name, credited, ChannelStage::Settled(settlement))
}

async fn put(ledger: &Ledger, write: ChannelWrite) -> u64 {
    ledger.write_channel(write).await.unwrap().credited.get()
}

fn totals(ledger: &Ledger) -> ChannelTotals {
    ledger.totals().unwrap().channels
}

fn names(records: &[ChannelRecord]) -> Vec<u8> {
    records.iter().map(|r| r.channel.as_bytes()[0]).collect()
}

#[tokio::test]
async fn an_update_credits_what_was_not_credited_before() {
    let ledger = open(&Disk::default());
    assert_eq!(put(&ledger, update(1, 0)).await, 0);
    assert_eq!(put(&ledger, update(1, 10)).await, 10);
    assert_eq!(put(&ledger, update(1, 10)).await, 10, "a replay");
    assert_eq!(put(&ledger, update(1, 25)).await, 25);
    assert_eq!(put(&ledger, update(1, 20)).await, 25, "an old figure");
    assert_eq!(put(&ledger, update(1, 25)).await, 25, "and back again");
    assert_eq!(put(&ledger, update(2, 5)).await, 30, "another channel");

    let totals = totals(&ledger);
    assert_eq!((totals.opened, totals.updates), (2, 3));
    assert_eq!(totals.paid, Msat::new(30));
    assert_eq!(
        ledger.totals().unwrap().credited,
        Msat::ZERO,
        "no vouchers among them"
    );
}

#[tokio::test]
async fn vouchers_and_channels_pay_into_one_account() {
    let ledger = open(&Disk::default());
    ledger.credit(ALICE, vec![voucher(1, 64)]).await.unwrap();
    ledger.record_use(ALICE, Msat::new(70));
    let balance = ledger.write_channel(update(1, 10)).await.unwrap();
    let expected = Balance {
        credited: Msat::new(74),
        used: Msat::new(70),
    };
    assert_eq!(balance, expected);
    assert_eq!(ledger.load(&ALICE).unwrap(), expected);
}

#[tokio::test]
async fn a_channel_of_another_account_is_refused_and_left_as_it_was() {
    let ledger = open(&Disk::default());
    put(&ledger, update(1, 10)).await;
    let before = ledger.channel(&channel(1)).unwrap();
    let stolen = ChannelWrite {
        account: BOB,
        part: 7,
        ..update(1, 99)
    };
    let refused = ledger.write_channel(stolen).await;
    assert!(matches!(refused, Err(LedgerError::OtherAccount)));
    assert_eq!(ledger.channel(&channel(1)).unwrap(), before);
    assert_eq!((credited(&ledger, ALICE), credited(&ledger, BOB)), (10, 0));
    assert_eq!(totals(&ledger).paid, Msat::new(10));
    assert_eq!(put(&ledger, update(1, 11)).await, 11, "it goes on");
}

#[tokio::test]
async fn every_row_is_kept_in_its_latest_version() {
    let disk = Disk::default();
    let ledger = open(&disk);
    for (part, contents) in [(255, "end"), (0, "first"), (3, ""), (0, "second")] {
        let bytes = contents.as_bytes().to_vec();
        let row = ChannelWrite {
            part,
            bytes,
            ..update(1, 4)
        };
        put(&ledger, row).await;
    }
    put(&ledger, update(0, 1)).await;
    put(&ledger, update(2, 1)).await;
    ledger.close().await.unwrap();

    let found = open(&disk).channel(&channel(1)).unwrap().unwrap();
    let rows = [
        (0, b"second".to_vec()),
        (3, Vec::new()),
        (255, b"end".to_vec()),
    ];
    assert_eq!(found.rows, rows);
    let record = ChannelRecord {
        channel: channel(1),
        account: ALICE,
        credited: Msat::new(4),
        expiry: UnixTime::from_secs(1_001),
        stage: ChannelStage::Open,
    };
    assert_eq!(found.record, record);
    assert_eq!(open(&Disk::default()).channel(&channel(1)).unwrap(), None);
}

#[tokio::test]
async fn settling_counts_once_and_is_final() {
    let ledger = open(&Disk::default());
    put(&ledger, update(1, 50)).await;
    put(&ledger, write(1, 50, ChannelStage::Closing)).await;
    assert_eq!(put(&ledger, settled(1, 50, 47, 3)).await, 50);
    put(&ledger, settled(1, 50, 99, 9)).await;

    let late = [
        update(1, 50),
        write(1, 50, ChannelStage::Closing),
        settled(1, 60, 57, 3),
    ];
    for late in late {
        let refused = ledger.write_channel(late).await;
        assert!(matches!(refused, Err(LedgerError::ChannelSettled)));
    }
    let expected = ChannelTotals {
        opened: 1,
        updates: 1,
        closed: 1,
        paid: Msat::new(50),
        settled: Msat::new(47),
        fees: Msat::new(3),
    };
    assert_eq!(totals(&ledger), expected);
    let found = ledger.channel(&channel(1)).unwrap().unwrap().record;
    assert_eq!(found.stage, settled(1, 50, 47, 3).stage);
    assert_eq!(found.credited, Msat::new(50));
}

#[tokio::test]
async fn channels_are_listed_by_stage_and_expiry() {
    let ledger = open(&Disk::default());
    for name in [4, 1, 3, 2] {
        put(&ledger, update(name, 1)).await;
    }
    put(&ledger, write(3, 1, ChannelStage::Closing)).await;
    put(&ledger, settled(4, 1, 1, 0)).await;
    let list = |stage, before: Option<u64>| {
        let before = before.map(UnixTime::from_secs);
        names(&ledger.channels(stage, before, None, 9).unwrap())
    };
    assert_eq!(list(StageKind::Open, None), [1, 2]);
    assert_eq!(list(StageKind::Closing, None), [3]);
    assert_eq!(list(StageKind::Settled, None), [4]);
    assert_eq!(list(StageKind::Open, Some(1_002)), [1], "expires *before*");
    assert!(list(StageKind::Open, Some(1_001)).is_empty());

    // A channel that is given more time moves to its new place.
    let longer = ChannelWrite {
        expiry: UnixTime::from_secs(2_000),
        ..update(1, 2)
    };
    put(&ledger, longer).await;
    assert_eq!(list(StageKind::Open, None), [2, 1]);
    assert_eq!(list(StageKind::Open, Some(2_000)), [2]);
}

#[tokio::test]
async fn pages_follow_one_another_even_over_changes() {
    let ledger = open(&Disk::default());
    let same_time = |name| ChannelWrite {
        expiry: UnixTime::from_secs(1_000),
        ..update(name, 1)
    };
    for name in 0..7 {
        put(&ledger, same_time(name)).await;
    }
    let mut seen = Vec::new();
    let mut last = None;
    for _ in 0..9 {
        let page = ledger
            .channels(StageKind::Open, None, last.as_ref(), 2)
            .unwrap();
        let Some(end) = page.last() else { break };
        // Some leave the list that is being read, as a channel does that is settled on the way.
        let name = end.channel.as_bytes()[0];
        if name % 4 == 1 {
            put(&ledger, settled(name, 1, 1, 0)).await;
        }
        last = Some(*end);
        seen.extend(names(&page));
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
    for before in [1, 1_000] {
        let before = Some(UnixTime::from_secs(before));
        let page = ledger.channels(StageKind::Open, before, last.as_ref(), 2);
        assert_eq!(page.unwrap(), [], "a page that starts behind its end");
    }
}

#[tokio::test]
async fn only_settled_channels_are_forgotten_and_the_oldest_first() {
    let ledger = open(&Disk::default());
    for name in 1..=4 {
        put(&ledger, update(name, 10)).await;
    }
    let other_row = ChannelWrite {
        part: 9,
        ..update(2, 10)
    };
    put(&ledger, other_row).await;
    put(&ledger, write(1, 10, ChannelStage::Closing)).await;
    for name in [3, 2, 4] {
        put(&ledger, settled(name, 10, 9, 1)).await;
    }
    let before = totals(&ledger);

    let known = |name| ledger.channel(&channel(name)).unwrap().is_some();
    let cut = UnixTime::from_secs(1_004);
    assert_eq!(ledger.forget_channels(cut, 1).await.unwrap(), 1);
    assert_eq!([1, 2, 3, 4].map(known), [true, false, true, true]);
    assert_eq!(ledger.forget_channels(cut, 9).await.unwrap(), 1);
    assert_eq!([1, 2, 3, 4].map(known), [true, false, false, true]);
    assert_eq!(ledger.forget_channels(cut, 9).await.unwrap(), 0);
    assert_eq!(totals(&ledger), before);
    assert_eq!(credited(&ledger, ALICE), 40);

    // Nothing of it is left over: one of the same name starts with the row it is given.
    put(&ledger, update(2, 1)).await;
    assert_eq!(
        ledger.channel(&channel(2)).unwrap().unwrap().rows,
        [(0, vec![2; 100])]
    );
}

#[tokio::test]
async fn updates_that_wait_share_one_sync_with_vouchers() {
    let disk = Disk::default();
    let ledger = open(&disk);
    disk.stall(true);
    let mut first = Box::pin(ledger.write_channel(update(0, 1)));
    assert!(poll_once(first.as_mut()).await.is_none());
    disk.wait_until_stalled();
    let before = disk.syncs();
    let mut updates: Vec<_> = (1..=100)
        .rev()
        .map(|name| Box::pin(ledger.write_channel(update(name, 1))))
        .collect();
    for update in &mut updates {
        assert!(poll_once(update.as_mut()).await.is_none());
    }
    let mut bought = Box::pin(ledger.credit(ALICE, vec![voucher(0, 1)]));
    assert!(poll_once(bought.as_mut()).await.is_none());
    disk.stall(false);
    for update in updates {
        update.await.unwrap();
    }
    bought.await.unwrap();
    first.await.unwrap();
    // The stalled commit's own and one more commit.
    let syncs = disk.syncs() - before;
    assert!(syncs <= 4, "{syncs} syncs");
    assert_eq!(credited(&ledger, ALICE), 102);
    assert_eq!(totals(&ledger).opened, 101);
}

#[tokio::test]
async fn two_updates_of_one_channel_in_one_commit_keep_their_order() {
    let disk = Disk::default();
    let ledger = open(&disk);
    disk.stall(true);
    let mut first = Box::pin(ledger.flush());
    assert!(poll_once(first.as_mut()).await.is_none());
    disk.wait_until_stalled();
    let row = |credited: u8| {
        let bytes = vec![credited];
        let write = ChannelWrite {
            bytes,
            ..update(1, credited.into())
        };
        Box::pin(ledger.write_channel(write))
    };
    let mut updates = [row(1), row(2), row(3)];
    for update in &mut updates {
        assert!(poll_once(update.as_mut()).await.is_none());
    }
    disk.stall(false);
    for (update, credited) in updates.into_iter().zip(1..) {
        assert_eq!(update.await.unwrap().credited, Msat::new(credited));
    }
    first.await.unwrap();
    let found = ledger.channel(&channel(1)).unwrap().unwrap();
    assert_eq!(found.rows, [(0, vec![3])]);
}

#[tokio::test]
async fn a_caller_that_goes_away_has_its_update_written_all_the_same() {
    let ledger = open(&Disk::default());
    let mut update = Box::pin(ledger.write_channel(update(1, 10)));
    let polled = poll_once(update.as_mut()).await;
    assert!(polled.is_none_or(|balance| balance.is_ok()));
    drop(update);
    ledger.flush().await.unwrap();
    assert_eq!(credited(&ledger, ALICE), 10);
}

#[tokio::test]
async fn an_update_that_a_failing_disk_did_not_take_is_written_again() {
    let disk = Disk::default();
    let ledger = open(&disk);
    put(&ledger, update(1, 10)).await;
    disk.fail(true);
    let refused = ledger.write_channel(update(1, 20)).await;
    assert!(matches!(refused, Err(LedgerError::Storage(_))));
    drop(ledger);
    disk.fail(false);

    let ledger = open(&disk.after_power_cut());
    assert_eq!(credited(&ledger, ALICE), 10);
    assert_eq!(put(&ledger, update(1, 20)).await, 20);
}

#[tokio::test]
async fn a_closed_ledger_refuses_channels() {
    let ledger = open(&Disk::default());
    ledger.close().await.unwrap();
    let written = ledger.write_channel(update(1, 1)).await;
    assert!(matches!(written, Err(LedgerError::Closed)));
    assert!(matches!(
        ledger.channel(&channel(1)),
        Err(LedgerError::Closed)
    ));
    assert!(matches!(
        ledger.channels(StageKind::Open, None, None, 1),
        Err(LedgerError::Closed)
    ));
}

#[tokio::test]
async fn debugging_a_channel_shows_neither_its_name_nor_its_rows() {
    let ledger = open(&Disk::default());
    put(&ledger, update(7, 10)).await;
    let found = ledger.channel(&channel(7)).unwrap().unwrap();
    let shown = format!("{:?} {found:?}", update(7, 10));
    assert!(!shown.contains("7, 7") && !shown.contains("161"), "{shown}");
    assert!(shown.contains("Msat(10)"), "{shown}");
}
