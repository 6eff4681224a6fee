//! Random work against a model of it, with clean restarts and with the power cut anywhere.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Credit { account: u8, vouchers: Vec<u8> },
    Collect { vouchers: Vec<u8> },
    Use { account: u8, used: u64 },
    Redeem { voucher: u8 },
    Pay(Payment),
    Forget { before: u64 },
    Restart,
}

/// A channel's transition: 0 open, 1 closing, 2 settled. Half of it reaches the relay.
#[derive(Debug, Clone)]
struct Payment {
    account: u8,
    channel: u8,
    part: u8,
    credited: u64,
    stage: u8,
}

impl Payment {
    fn write(&self) -> ChannelWrite {
        let half = Msat::new(self.credited / 2);
        ChannelWrite {
            channel: ChannelKey::new([self.channel; 32]),
            account: key(self.account),
            part: self.part,
            bytes: vec![self.stage, self.credited as u8],
            credited: Msat::new(self.credited),
            expiry: UnixTime::from_secs(self.channel.into()),
            stage: match self.stage {
                0 => ChannelStage::Open,
                1 => ChannelStage::Closing,
                _ => ChannelStage::Settled(Settlement {
                    received: half,
                    fees: half,
                }),
            },
        }
    }
}

/// Mostly the channel's own account, and mostly open.
fn payment() -> impl Strategy<Value = Payment> {
    let account = prop_oneof![8 => Just(None), 1 => (0u8..3).prop_map(Some)];
    let stage = prop_oneof![6 => Just(0u8), 2 => Just(1), 1 => Just(2)];
    (account, 0u8..5, 0u8..3, 0u64..100, stage).prop_map(
        |(account, channel, part, credited, stage)| Payment {
            account: account.unwrap_or(channel % 3),
            channel,
            part,
            credited,
            stage,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..3, prop::collection::vec(0u8..12, 1..4))
            .prop_map(|(account, vouchers)| Step::Credit { account, vouchers }),
        3 => prop::collection::vec(0u8..12, 1..4)
            .prop_map(|vouchers| Step::Collect { vouchers }),
        3 => (0u8..3, 0u64..200).prop_map(|(account, used)| Step::Use { account, used }),
        1 => (0u8..12).prop_map(|voucher| Step::Redeem { voucher }),
        8 => payment().prop_map(Step::Pay),
        1 => (0u64..6).prop_map(|before| Step::Forget { before }),
        1 => Just(Step::Restart),
    ]
}

/// What a channel should say.
#[derive(Debug, Default, Clone, PartialEq)]
struct Channel {
    account: u8,
    credited: u64,
    stage: u8,
    rows: BTreeMap<u8, Vec<u8>>,
}

/// What the ledger should say: who has each voucher, what each account has used, what is redeemed,
/// how far each channel is, and what channels have paid, those that are forgotten too.
#[derive(Debug, Default, Clone, PartialEq)]
struct Model {
    channels: BTreeMap<u8, Channel>,
    paid: BTreeMap<u8, u64>,
    totals: ChannelTotals,
    owner: BTreeMap<u8, u8>,
    used: BTreeMap<u8, u64>,
    redeemed: BTreeMap<u8, ()>,
}

/// In the place of an account.
const PACKETS: u8 = 99;

fn value(name: u8) -> u64 {
    1 << name
}

impl Model {
    fn credit(&mut self, account: u8, name: u8) -> Outcome {
        match self.owner.get(&name) {
            Some(owner) if *owner == account => Outcome::AlreadyCredited,
            Some(_) => Outcome::Spent,
            None => {
                self.owner.insert(name, account);
                Outcome::Credited
            }
        }
    }

    /// True when the voucher pays for a packet.
    fn collect(&mut self, name: u8) -> bool {
        let new = !self.owner.contains_key(&name);
        self.owner.entry(name).or_insert(PACKETS);
        new
    }

    fn packets(&self) -> PacketTotals {
        let names = self.owner.iter().filter(|(_, owner)| **owner == PACKETS);
        let values: Vec<_> = names.map(|(name, _)| Msat::new(value(*name))).collect();
        PacketTotals {
            taken: values.len() as u64,
            fees: values.into_iter().sum(),
        }
    }

    /// False when it must be refused.
    fn pay(&mut self, payment: &Payment) -> bool {
        let write = payment.write();
        let known = self.channels.get(&payment.channel).cloned();
        let mut channel = known.clone().unwrap_or_else(|| Channel {
            account: payment.account,
            ..Channel::default()
        });
        let more = payment.credited.saturating_sub(channel.credited);
        let late = channel.stage == 2 && (payment.stage != 2 || more > 0);
        if channel.account != payment.account || late {
            return false;
        }
        let settled = payment.stage == 2 && channel.stage != 2;
        let sums = &mut self.totals;
        sums.opened += u64::from(known.is_none());
        sums.updates += u64::from(more > 0);
        sums.paid = sums.paid.saturating_add(Msat::new(more));
        if let (true, ChannelStage::Settled(settlement)) = (settled, write.stage) {
            sums.closed += 1;
            sums.settled = sums.settled.saturating_add(settlement.received);
            sums.fees = sums.fees.saturating_add(settlement.fees);
        }
        *self.paid.entry(payment.account).or_default() += more;
        channel.credited += more;
        channel.stage = payment.stage;
        channel.rows.insert(payment.part, write.bytes);
        self.channels.insert(payment.channel, channel);
        true
    }

    fn forget(&mut self, before: u64) -> usize {
        let known = self.channels.len();
        self.channels
            .retain(|name, channel| channel.stage != 2 || u64::from(*name) >= before);
        known - self.channels.len()
    }

    fn credited(&self, account: u8) -> u64 {
        let vouchers = self.owner.iter().filter(|(_, owner)| **owner == account);
        let vouchers: u64 = vouchers.map(|(name, _)| value(*name)).sum();
        vouchers + self.paid.get(&account).copied().unwrap_or(0)
    }

    /// True when the ledger knows the same channels, by name and by list.
    fn agrees_on_channels(&self, ledger: &Ledger) -> bool {
        let stages = [StageKind::Open, StageKind::Closing, StageKind::Settled];
        let listed = |stage: StageKind| {
            let names = self.channels.iter().filter(|(_, c)| c.stage == stage as u8);
            let names = names.map(|(name, _)| ChannelKey::new([*name; 32]));
            let records = ledger.channels(stage, None, None, 99).unwrap();
            records.iter().map(|record| record.channel).eq(names)
        };
        let stored = |name: u8| {
            let found = ledger.channel(&ChannelKey::new([name; 32])).unwrap();
            match (found, self.channels.get(&name)) {
                (Some(found), Some(channel)) => {
                    found.record.account == key(channel.account)
                        && found.record.credited.get() == channel.credited
                        && found.record.stage.kind() as u8 == channel.stage
                        && found.rows.into_iter().eq(channel.rows.clone())
                }
                (found, expected) => found.is_none() && expected.is_none(),
            }
        };
        stages.into_iter().all(listed) && (0..5).all(stored)
    }

    fn used(&self, account: u8) -> u64 {
        self.used.get(&account).copied().unwrap_or(0)
    }

    /// True when the ledger says the same; its record of use may lie between two figures.
    fn agrees(&self, ledger: &Ledger, flushed: &Model) -> bool {
        let totals = ledger.totals().unwrap();
        let sum =
            |names: &mut dyn Iterator<Item = &u8>| names.map(|name| value(*name)).sum::<u64>();
        totals.credited.get() == sum(&mut self.owner.keys())
            && totals.redeemed.get() == sum(&mut self.redeemed.keys())
            && totals.channels == self.totals
            && totals.packets == self.packets()
            && self.agrees_on_channels(ledger)
            && ledger.collected(99).unwrap().len() == self.owner.len() - self.redeemed.len()
            && (0..3).all(|account| {
                let balance = ledger.load(&key(account)).unwrap();
                let used = flushed.used(account)..=self.used(account);
                balance.credited.get() == self.credited(account)
                    && used.contains(&balance.used.get())
            })
    }
}

fn key(account: u8) -> AccountKey {
    AccountKey::new([account; 32])
}

/// Takes one step on both and compares what they say.
async fn take(step: &Step, ledger: &mut Ledger, disk: &Disk, model: &mut Model) {
    match step {
        Step::Credit { account, vouchers } => {
            let given = vouchers
                .iter()
                .map(|name| voucher(*name, value(*name)))
                .collect();
            let credit = ledger.credit(key(*account), given).await.unwrap();
            let expected: Vec<_> = vouchers
                .iter()
                .map(|v| model.credit(*account, *v))
                .collect();
            assert_eq!(credit.outcomes, expected);
            assert_eq!(credit.balance.credited.get(), model.credited(*account));
            assert_eq!(credit.balance.used.get(), model.used(*account));
        }
        Step::Collect { vouchers } => {
            let given = vouchers.iter().map(|name| voucher(*name, value(*name)));
            let taken = ledger.collect(given.collect()).await.unwrap();
            let expected: Vec<_> = vouchers.iter().map(|v| model.collect(*v)).collect();
            assert_eq!(taken, expected);
        }
        Step::Use { account, used } => {
            ledger.record_use(key(*account), Msat::new(*used));
            let latest = model.used.entry(*account).or_default();
            *latest = (*latest).max(*used);
        }
        Step::Redeem { voucher: name } => {
            ledger
                .mark_redeemed(vec![voucher(*name, 0).key])
                .await
                .unwrap();
            if model.owner.contains_key(name) {
                model.redeemed.insert(*name, ());
            }
        }
        Step::Pay(payment) => {
            let paid = ledger.write_channel(payment.write()).await;
            if model.pay(payment) {
                let account = payment.account;
                let expected = Balance {
                    credited: Msat::new(model.credited(account)),
                    used: Msat::new(model.used(account)),
                };
                assert_eq!(paid.unwrap(), expected);
            } else {
                use LedgerError::{ChannelSettled, OtherAccount};
                assert!(matches!(paid, Err(OtherAccount | ChannelSettled)));
            }
        }
        Step::Forget { before } => {
            let before_time = UnixTime::from_secs(*before);
            let forgotten = ledger.forget_channels(before_time, 99).await.unwrap();
            assert_eq!(forgotten, model.forget(*before));
        }
        Step::Restart => {
            ledger.close().await.unwrap();
            *ledger = open(disk);
        }
    }
}

/// The model after each step, and where the disk was when the step was acknowledged.
async fn run(steps: &[Step], disk: &Disk) -> Vec<(usize, Model)> {
    let mut ledger = open(disk);
    let mut model = Model::default();
    let mut story = vec![(disk.now(), model.clone())];
    for step in steps {
        take(step, &mut ledger, disk, &mut model).await;
        assert!(model.agrees(&ledger, &model), "{model:?}");
        story.push((disk.now(), model.clone()));
    }
    story
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// What a ledger that lost its power at `cut` must say, given what was acknowledged by then.
fn check_after_cut(steps: &[Step], story: &[(usize, Model)], disk: &Disk, cut: usize, seed: u64) {
    let known = story
        .iter()
        .rposition(|(at, _)| *at <= cut)
        .expect("the file was made");
    let found = disk.cut_at(cut, |place| seed.rotate_left(place as u32 * 7) & 1 == 1);
    let ledger = open(&found);
    // The step that was being carried out may have happened or not; recorded use may lag behind
    // as far as the last step that was acknowledged with a commit.
    let last_commit = &story[..=known].iter().rfind(|(at, _)| *at < story[known].0);
    let flushed = last_commit
        .map(|(_, model)| model.clone())
        .unwrap_or_default();
    let next = &story[(known + 1).min(story.len() - 1)].1;
    let agreed = [&story[known].1, next]
        .into_iter()
        .any(|model| model.agrees(&ledger, &flushed));
    assert!(
        agreed,
        "cut at {cut}, after step {known}: {:?}",
        story[known].1
    );
    block_on(async {
        // All is presented again, as clients do: nobody is credited twice, nobody loses.
        let end = &story[story.len() - 1].1;
        for (name, account) in &end.owner {
            let again = vec![voucher(*name, value(*name))];
            match *account {
                PACKETS => drop(ledger.collect(again).await.unwrap()),
                account => drop(ledger.credit(key(account), again).await.unwrap()),
            }
        }
        // And what was not acknowledged of channels is written, a second time if it was there.
        for step in &steps[known..] {
            match step {
                Step::Pay(payment) => drop(ledger.write_channel(payment.write()).await),
                Step::Forget { before } => {
                    let before = UnixTime::from_secs(*before);
                    ledger.forget_channels(before, 99).await.unwrap();
                }
                _ => {}
            }
        }
        for account in 0..3 {
            assert_eq!(credited(&ledger, key(account)), end.credited(account));
        }
        assert_eq!(ledger.totals().unwrap().channels, end.totals);
        assert!(end.agrees_on_channels(&ledger));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..Default::default() })]

    #[test]
    fn the_ledger_does_what_its_model_does(steps in prop::collection::vec(step(), 1..24)) {
        block_on(run(&steps, &Disk::default()));
    }

    #[test]
    fn a_power_cut_anywhere_loses_nothing_acknowledged_and_credits_nothing_twice(
        steps in prop::collection::vec(step(), 1..12),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>()), 8),
    ) {
        let disk = Disk::default();
        let story = block_on(run(&steps, &disk));
        let (made, end) = (story[0].0, disk.now());
        for (cut, seed) in cuts {
            check_after_cut(&steps, &story, &disk, made + cut.index(end - made + 1), seed);
        }
    }
}
