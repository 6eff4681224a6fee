//! Random work against a model of it, with clean restarts and with the power cut anywhere.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Credit { account: u8, vouchers: Vec<u8> },
    Use { account: u8, used: u64 },
    Redeem { voucher: u8 },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..3, prop::collection::vec(0u8..12, 1..4))
            .prop_map(|(account, vouchers)| Step::Credit { account, vouchers }),
        3 => (0u8..3, 0u64..200).prop_map(|(account, used)| Step::Use { account, used }),
        1 => (0u8..12).prop_map(|voucher| Step::Redeem { voucher }),
        1 => Just(Step::Restart),
    ]
}

/// What the ledger should say: who has each voucher, what each account has used, what is redeemed.
#[derive(Debug, Default, Clone, PartialEq)]
struct Model {
    owner: BTreeMap<u8, u8>,
    used: BTreeMap<u8, u64>,
    redeemed: BTreeMap<u8, ()>,
}

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

    fn credited(&self, account: u8) -> u64 {
        self.owner
            .iter()
            .filter(|(_, owner)| **owner == account)
            .map(|(name, _)| value(*name))
            .sum()
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
fn check_after_cut(story: &[(usize, Model)], disk: &Disk, cut: usize, seed: u64) {
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
            ledger
                .credit(key(*account), vec![voucher(*name, value(*name))])
                .await
                .unwrap();
        }
        for account in 0..3 {
            assert_eq!(credited(&ledger, key(account)), end.credited(account));
        }
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
            check_after_cut(&story, &disk, made + cut.index(end - made + 1), seed);
        }
    }
}
