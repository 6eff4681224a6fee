//! The power goes and the line is cut while outputs of others are signed, and while coins of others
//! are taken in.

use super::chest::Chest;
use super::foreign::{
    ALL, AMOUNTS, PRICE, TAG, balance, earned, locked, other, rest, rich, sign_all,
};
use super::town::{Line, Town, copy_dir};
use cashu::{KeySet, Proof, SwapRequest};
use coinfuse_voucher::{BadMint, Purse, PurseError, Redeemer};
use coinfuse_wire::Msat;
use tempfile::TempDir;

/// A purse that got no answer when it had outputs signed.
struct Cut {
    town: Town,
    dir: TempDir,
    keyset: KeySet,
    chest: Chest,
}

impl Cut {
    async fn by(line: Line) -> Self {
        let (town, dir, purse) = rich().await;
        let keyset = purse.keyset(&town.id, false).await.unwrap();
        let chest = Chest::plain(1, &keyset, &AMOUNTS);
        let cut = Self {
            town,
            dir,
            keyset,
            chest,
        };
        cut.town.set(line);
        let lost = cut.sign(&purse).await;
        assert!(
            matches!(lost, Err(PurseError::Unfinished { .. })),
            "{lost:?}"
        );
        assert_eq!(purse.signed(&TAG).await, None);
        // A purchase that is under way is not forgotten.
        purse.forget_signed(&TAG).await.unwrap();
        cut
    }

    async fn sign(&self, purse: &Purse) -> Result<Vec<cashu::BlindSignature>, PurseError> {
        let outputs = self.chest.outputs.clone();
        purse.sign_outputs(TAG, &self.town.id, outputs).await
    }

    async fn purse(&self) -> Purse {
        self.town.purse(self.dir.path()).await
    }

    /// The same call again brings everything, once.
    async fn ends_well(&self, purse: &Purse) {
        let signed = self.sign(purse).await.unwrap();
        assert_eq!(purse.signed(&TAG).await.unwrap(), signed);
        assert_eq!(purse.recover().await.unwrap(), 0);
        assert_eq!(balance(purse, &self.town).await, rest(PRICE));
        let proofs = self.chest.open(&self.keyset, &signed);
        let (_dir, other) = other(&self.town).await;
        assert_eq!(other.take_in(&self.town.id, &proofs).await.unwrap(), PRICE);
        // The change can be spent: all of it.
        let left = Chest::plain(2, &self.keyset, &[1 << 16, 1 << 14]).outputs;
        purse
            .sign_outputs([9; 32], &self.town.id, left)
            .await
            .unwrap();
        assert_eq!(self.town.owes().await, ALL);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_that_was_never_sent_goes_on() {
    let cut = Cut::by(Line::Down).await;
    cut.town.set(Line::Up);
    cut.ends_well(&cut.purse().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_whose_answer_was_lost_goes_on() {
    let cut = Cut::by(Line::Deaf).await;
    cut.town.set(Line::Up);
    cut.ends_well(&cut.purse().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_whose_answer_the_mint_has_forgotten_is_restored() {
    let mut cut = Cut::by(Line::Deaf).await;
    cut.town.restart().await;
    cut.town.set(Line::Up);
    cut.ends_well(&cut.purse().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_brings_the_signatures_also_twice() {
    let cut = Cut::by(Line::Deaf).await;
    cut.town.set(Line::Up);
    let before = copy_dir(cut.dir.path());
    let purse = cut.purse().await;
    assert_eq!(purse.recover().await.unwrap(), 0);
    let signed = purse.signed(&TAG).await.unwrap();
    drop(purse);
    // Answered, and the power went before it was written.
    let purse = cut.town.purse(before.path()).await;
    assert_eq!(purse.recover().await.unwrap(), 0);
    assert_eq!(purse.signed(&TAG).await.unwrap(), signed);
    cut.ends_well(&purse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_mint_is_away_the_tag_stays_taken() {
    let cut = Cut::by(Line::Deaf).await;
    cut.town.set(Line::Down);
    let purse = cut.purse().await;
    assert_eq!(purse.recover().await.unwrap(), 1);
    let others = Chest::plain(2, &cut.keyset, &AMOUNTS).outputs;
    let taken = purse.sign_outputs(TAG, &cut.town.id, others).await;
    assert!(matches!(taken, Err(PurseError::Tag)));
    let away = cut.sign(&purse).await;
    assert!(matches!(away, Err(PurseError::Unfinished { .. })));
    cut.town.set(Line::Up);
    cut.ends_well(&purse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_was_lost_frees_coins_and_tag() {
    let (town, dir, purse) = rich().await;
    let old = purse.keyset(&town.id, false).await.unwrap();
    town.mint.rotate_keyset().await.unwrap();
    town.set(Line::Deaf);
    let outputs = Chest::plain(1, &old, &AMOUNTS).outputs;
    let lost = purse.sign_outputs(TAG, &town.id, outputs.clone()).await;
    assert!(
        matches!(lost, Err(PurseError::Unfinished { .. })),
        "{lost:?}"
    );
    drop(purse);
    town.set(Line::Up);
    let again = copy_dir(dir.path());
    // Told to the recovery, or to the same call again.
    let purse = town.purse(dir.path()).await;
    assert_eq!(purse.recover().await.unwrap(), 0);
    assert_eq!(balance(&purse, &town).await, ALL);
    drop(purse);
    let purse = town.purse(again.path()).await;
    let refused = purse.sign_outputs(TAG, &town.id, outputs).await;
    assert!(matches!(refused, Err(PurseError::Keyset(_))), "{refused:?}");
    assert_eq!(balance(&purse, &town).await, ALL);
    let new = purse.keyset(&town.id, true).await.unwrap();
    let outputs = Chest::plain(1, &new, &AMOUNTS).outputs;
    purse.sign_outputs(TAG, &town.id, outputs).await.unwrap();
}

const COIN: Msat = Msat::new(1 << 15);

/// A purse with two coins, of [`COIN`] each.
async fn two_coins() -> (Town, TempDir, Purse, KeySet) {
    let (town, _dir, rich) = rich().await;
    let keyset = rich.keyset(&town.id, false).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let purse = town.purse(dir.path()).await;
    for n in [50, 51] {
        let chest = Chest::plain(n, &keyset, &[COIN.get()]);
        let outputs = chest.outputs.clone();
        let signed = rich.sign_outputs([n; 32], &town.id, outputs).await.unwrap();
        let proofs = chest.open(&keyset, &signed);
        assert_eq!(purse.take_in(&town.id, &proofs).await.unwrap(), COIN);
    }
    (town, dir, purse, keyset)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_the_purse_does_not_pay_for_what_is_signed() {
    // With change, and without.
    for amounts in [&AMOUNTS[..], &[COIN.get()]] {
        let (town, dir, purse, keyset) = two_coins().await;
        let chest = Chest::plain(1, &keyset, amounts);
        let price = Msat::new(amounts.iter().sum());
        let left = Msat::new(2 * COIN.get()).checked_sub(price).unwrap();
        let copy = copy_dir(dir.path());
        let sign = async |purse: &Purse, tag| {
            let outputs = chest.outputs.clone();
            purse.sign_outputs(tag, &town.id, outputs).await.unwrap()
        };
        let signed = sign(&purse, TAG).await;
        assert_eq!(balance(&purse, &town).await, left);
        // Under another tag the outputs are known to the mint, and the coins stay here.
        assert_eq!(sign(&purse, [9; 32]).await, signed);
        assert_eq!(balance(&purse, &town).await, left);
        drop(purse);
        // The copy makes the very same swap.
        let purse = town.purse(copy.path()).await;
        assert_eq!(sign(&purse, TAG).await, signed);
        assert_eq!(balance(&purse, &town).await, left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn coins_that_were_spent_elsewhere_are_dropped_and_others_pay() {
    let (town, dir, purse, keyset) = two_coins().await;
    let copy = copy_dir(dir.path());
    let first = Chest::plain(1, &keyset, &AMOUNTS).outputs;
    purse.sign_outputs(TAG, &town.id, first).await.unwrap();
    drop(purse);
    // The copy would pay with the same coin, and has another.
    let purse = town.purse(copy.path()).await;
    let second = Chest::plain(2, &keyset, &AMOUNTS);
    let outputs = second.outputs.clone();
    let signed = purse.sign_outputs(TAG, &town.id, outputs).await.unwrap();
    second.open(&keyset, &signed);
    let left = COIN.checked_sub(PRICE).unwrap();
    assert_eq!(balance(&purse, &town).await, left);
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_without_proof_are_not_taken() {
    let (town, dir, purse) = rich().await;
    let keyset = purse.keyset(&town.id, false).await.unwrap();
    let chest = Chest::plain(1, &keyset, &AMOUNTS);
    let cut = Cut {
        town,
        dir,
        keyset,
        chest,
    };
    cut.town.set(Line::Bare);
    let unproven = cut.sign(&purse).await;
    let Err(PurseError::BadMint { source, .. }) = unproven else {
        panic!("{unproven:?}")
    };
    assert_eq!(source, BadMint::Dleq);
    assert_eq!(purse.signed(&TAG).await, None);
    // The swap is kept, and the mint may still do right.
    cut.town.set(Line::Up);
    cut.ends_well(&purse).await;
}

/// Signing is an error: the swap is written down already.
fn no_key(_: &mut SwapRequest) -> Result<(), &'static str> {
    Err("asked to sign again")
}

/// Coins under SIG_ALL that were being taken in when the line was cut.
async fn intake(line: Line) -> (Town, TempDir, Vec<Proof>) {
    let (town, _dir, purse) = rich().await;
    let proofs = locked(&purse, &town, "SIG_ALL").await;
    let (dir, other) = other(&town).await;
    town.set(line);
    let lost = other.take_in_signed(&town.id, &proofs, sign_all).await;
    assert!(
        matches!(lost, Err(PurseError::Unfinished { .. })),
        "{lost:?}"
    );
    (town, dir, proofs)
}

async fn reopen(town: &Town, dir: &TempDir) -> Redeemer {
    Redeemer::open(&town.config(dir.path())).await.unwrap()
}

async fn again_brings_it(town: &Town, dir: &TempDir, proofs: &[Proof]) {
    let other = reopen(town, dir).await;
    let brought = other.take_in_signed(&town.id, proofs, no_key).await;
    assert_eq!(brought.unwrap(), PRICE);
    assert_eq!(other.recover().await.unwrap(), 0);
    assert_eq!(earned(&other, town).await, PRICE);
    let gone = other.take_in_signed(&town.id, proofs, sign_all).await;
    assert!(matches!(gone, Err(PurseError::Spent(_))));
    assert_eq!(earned(&other, town).await, PRICE);
    assert_eq!(town.owes().await, ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intake_that_was_never_sent_is_sent_as_it_was_signed() {
    let (town, dir, proofs) = intake(Line::Down).await;
    town.set(Line::Up);
    again_brings_it(&town, &dir, &proofs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intake_whose_answer_was_lost_has_the_same_answer() {
    let (town, dir, proofs) = intake(Line::Deaf).await;
    town.set(Line::Up);
    again_brings_it(&town, &dir, &proofs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intake_whose_answer_the_mint_has_forgotten_is_restored() {
    let (mut town, dir, proofs) = intake(Line::Deaf).await;
    town.restart().await;
    town.set(Line::Up);
    again_brings_it(&town, &dir, &proofs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_takes_coins_in_also_twice() {
    let (town, dir, proofs) = intake(Line::Deaf).await;
    town.set(Line::Up);
    let before = copy_dir(dir.path());
    let other = reopen(&town, &dir).await;
    assert_eq!(other.recover().await.unwrap(), 0);
    assert_eq!(earned(&other, &town).await, PRICE);
    drop(other);
    again_brings_it(&town, &before, &proofs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coins_that_somebody_else_took_while_the_line_was_down_are_reported() {
    let (town, dir, proofs) = intake(Line::Down).await;
    town.set(Line::Up);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut config = town.config(elsewhere.path());
    config.seed = [6; 32].into();
    let thief = Redeemer::open(&config).await.unwrap();
    let taken = thief.take_in_signed(&town.id, &proofs, sign_all).await;
    assert_eq!(taken.unwrap(), PRICE);
    let other = reopen(&town, &dir).await;
    let gone = other.take_in_signed(&town.id, &proofs, sign_all).await;
    assert!(matches!(gone, Err(PurseError::Spent(_))), "{gone:?}");
    assert_eq!(earned(&other, &town).await, Msat::ZERO);
    assert_eq!(other.recover().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_take_in_the_same_coins_at_once_bring_them_once() {
    let (town, _dir, purse) = rich().await;
    let proofs = locked(&purse, &town, "SIG_ALL").await;
    let (_dir, other) = other(&town).await;
    let (first, second) = tokio::join!(
        other.take_in_signed(&town.id, &proofs, sign_all),
        other.take_in_signed(&town.id, &proofs, sign_all),
    );
    let brought = [first, second].map(|result| match result {
        Ok(brought) => brought,
        Err(PurseError::Spent(_)) => Msat::ZERO,
        Err(error) => panic!("{error}"),
    });
    assert_eq!(brought.into_iter().sum::<Msat>(), PRICE);
    assert_eq!(earned(&other, &town).await, PRICE);
}
