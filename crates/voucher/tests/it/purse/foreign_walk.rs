//! Whatever is cut, lost, crashed and tried again, in any order: in the end every unit is there.

use super::chest::Chest;
use super::foreign::{earned, sign_all};
use super::town::{Line, Town};
use cashu::KeySet;
use coinfuse_mint::LoopbackLightning;
use coinfuse_voucher::{Purse, PurseError, Redeemer, Unit};
use coinfuse_wire::Msat;
use tempfile::TempDir;

const ALL: Msat = Msat::new(50_000);
const PRICE: u64 = 1024 + 64 + 64;
const CHESTS: u8 = 6;
const STEPS: usize = 60;

/// xorshift: the walk is the same on every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

struct Walk {
    town: Town,
    dirs: [TempDir; 2],
    keyset: KeySet,
    chests: Vec<Chest>,
    purse: Option<Purse>,
    other: Option<Redeemer>,
}

/// These leave nothing behind that a later try does not find.
fn allowed(error: &PurseError) -> bool {
    matches!(error, PurseError::Unfinished { .. } | PurseError::Spent(_))
}

impl Walk {
    async fn start(fee: u64) -> Self {
        let town = Town::with_fee(&LoopbackLightning::new(), 1, Unit::Msat, fee).await;
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let purse = town.purse(dirs[0].path()).await;
        town.fill(&purse, ALL).await;
        let keyset = purse.keyset(&town.id, false).await.unwrap();
        let chests = (1..=CHESTS)
            .map(|n| Chest::of_two(n, &keyset, &[64, 64, 1024], "SIG_ALL"))
            .collect();
        let other = Redeemer::open(&town.config(dirs[1].path())).await.unwrap();
        other.keyring().await;
        Self {
            town,
            dirs,
            keyset,
            chests,
            purse: Some(purse),
            other: Some(other),
        }
    }

    fn purse(&self) -> &Purse {
        self.purse.as_ref().unwrap()
    }

    fn other(&self) -> &Redeemer {
        self.other.as_ref().unwrap()
    }

    async fn sign(&self, n: usize) -> Result<Vec<cashu::BlindSignature>, PurseError> {
        let outputs = self.chests[n].outputs.clone();
        let tag = [u8::try_from(n).unwrap(); 32];
        self.purse().sign_outputs(tag, &self.town.id, outputs).await
    }

    async fn take_in(&self, n: usize) -> Result<(), PurseError> {
        let tag = [u8::try_from(n).unwrap(); 32];
        if let Some(signed) = self.purse().signed(&tag).await {
            let proofs = self.chests[n].open(&self.keyset, &signed);
            let taken = self.other();
            taken
                .take_in_signed(&self.town.id, &proofs, sign_all)
                .await?;
        }
        Ok(())
    }

    async fn step(&mut self, dice: &mut Dice) {
        let n = usize::try_from(dice.roll(CHESTS.into())).unwrap();
        let result = match dice.roll(9) {
            0 | 1 => self.sign(n).await.map(drop),
            2 | 3 => self.take_in(n).await,
            4 => self.purse().recover().await.map(drop),
            5 => self.other().recover().await.map(drop),
            6 => self.reopen().await,
            7 => {
                self.town.restart().await;
                Ok(())
            }
            _ => {
                let lines = [Line::Up, Line::Up, Line::Down, Line::Deaf];
                self.town.set(lines[usize::try_from(dice.roll(4)).unwrap()]);
                Ok(())
            }
        };
        if let Err(error) = result {
            assert!(allowed(&error), "{error:?}");
        }
    }

    /// As after a crash: what is in memory is gone.
    async fn reopen(&mut self) -> Result<(), PurseError> {
        (self.purse, self.other) = (None, None);
        self.purse = Some(self.town.purse(self.dirs[0].path()).await);
        self.other = Some(Redeemer::open(&self.town.config(self.dirs[1].path())).await?);
        Ok(())
    }

    /// All chests are signed, once, and taken in, once.
    async fn end(&mut self) -> (Msat, Msat) {
        self.town.set(Line::Up);
        self.reopen().await.unwrap();
        assert_eq!(self.purse().recover().await.unwrap(), 0);
        assert_eq!(self.other().recover().await.unwrap(), 0);
        for n in 0..usize::from(CHESTS) {
            self.sign(n).await.unwrap();
            match self.take_in(n).await {
                Ok(()) | Err(PurseError::Spent(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let left = self.purse().balance(&self.town.id).await.unwrap();
        (left, earned(self.other(), &self.town).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_unit_is_there_after_any_walk() {
    for seed in 1..=4u64 {
        let mut walk = Walk::start(0).await;
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..STEPS {
            walk.step(&mut dice).await;
        }
        let price = Msat::new(PRICE * u64::from(CHESTS));
        let left = ALL.checked_sub(price).unwrap();
        assert_eq!(walk.end().await, (left, price), "walk {seed}");
        assert_eq!(walk.town.owes().await, ALL, "walk {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_swaps_cost_a_fee_nothing_but_fees_is_lost() {
    let mut walk = Walk::start(100).await;
    let mut dice = Dice(77);
    for _ in 0..STEPS {
        walk.step(&mut dice).await;
    }
    let (left, brought) = walk.end().await;
    // Each chest was taken in by a swap of three coins: one unit.
    let price = Msat::new((PRICE - 1) * u64::from(CHESTS));
    assert_eq!(brought, price);
    let kept = left.saturating_add(brought);
    assert_eq!(kept, walk.town.owes().await);
    let fees = ALL.checked_sub(kept).unwrap();
    assert!(fees <= Msat::new(2 * u64::from(CHESTS)), "{fees}");
}
