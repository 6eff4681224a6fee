//! The power goes and the line is cut while a token is made, received, taken back.

use super::foreign::{ALL, balance, earned, other, rest, rich};
use super::foreign_walk::Dice;
use super::town::{Line, Town, copy_dir};
use coinfuse_mint::LoopbackLightning;
use coinfuse_voucher::{Purse, PurseError, Redeemer, Unit};
use coinfuse_wire::Msat;
use tempfile::TempDir;

const SUM: Msat = Msat::new(3080);
const STEPS: usize = 120;

/// A purse that got no answer when it made a token.
async fn cut(line: Line) -> (Town, TempDir) {
    let (town, dir, purse) = rich().await;
    town.set(line);
    let lost = purse.token(&town.id, SUM).await;
    assert!(
        matches!(lost, Err(PurseError::Unfinished { .. })),
        "{lost:?}"
    );
    assert_eq!(purse.tokens().await, []);
    (town, dir)
}

/// The token is there after a recovery, once, and is worth the money.
async fn token_is_there(town: &Town, dir: &TempDir) -> String {
    let purse = town.purse(dir.path()).await;
    assert_eq!(purse.recover().await.unwrap(), 0);
    assert_eq!(balance(&purse, town).await, rest(SUM));
    let [kept] = purse.tokens().await.try_into().unwrap();
    assert_eq!(kept.value, SUM);
    kept.token
}

async fn and_is_received(town: &Town, token: &str) {
    let (_dir, other) = other(town).await;
    assert_eq!(other.receive(token).await.unwrap().1, SUM);
    assert_eq!(town.owes().await, ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_never_asked_for_is_made_by_recovery() {
    let (town, dir) = cut(Line::Down).await;
    town.set(Line::Up);
    let token = token_is_there(&town, &dir).await;
    and_is_received(&town, &token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_answer_was_lost_is_restored_and_always_the_same() {
    let (mut town, dir) = cut(Line::Deaf).await;
    let before = copy_dir(dir.path());
    town.set(Line::Up);
    let token = token_is_there(&town, &dir).await;
    // Answered, and the power went before it was written; and the mint has forgotten its answer.
    town.restart().await;
    assert_eq!(token_is_there(&town, &before).await, token);
    and_is_received(&town, &token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_out_is_on_disk_before() {
    let (town, dir, purse) = rich().await;
    let token = purse.token(&town.id, SUM).await.unwrap();
    // The power goes now. The mint is not needed to print it again.
    let copy = copy_dir(dir.path());
    town.set(Line::Down);
    let again = town.purse(copy.path()).await;
    let [kept] = again.tokens().await.try_into().unwrap();
    assert_eq!(kept.token, token);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_the_purse_prints_the_same_token() {
    let (town, dir, purse) = rich().await;
    let copy = copy_dir(dir.path());
    let token = purse.token(&town.id, SUM).await.unwrap();
    drop(purse);
    let old = town.purse(copy.path()).await;
    assert_eq!(old.token(&town.id, SUM).await.unwrap(), token);
    assert_eq!(balance(&old, &town).await, rest(SUM));
    and_is_received(&town, &token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_when_nobody_waits_for_it() {
    let (town, dir, purse) = rich().await;
    {
        // Polled once, then dropped.
        let making = std::pin::pin!(purse.token(&town.id, SUM));
        let mut once = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(making.poll(&mut once).is_pending());
    }
    drop(purse);
    let purse = loop {
        // The file is free when the task has ended.
        match Purse::open(&town.config(dir.path())).await {
            Ok(purse) => break purse,
            Err(PurseError::Store(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    let [kept] = purse.tokens().await.try_into().unwrap();
    and_is_received(&town, &kept.token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_back_goes_on_where_the_line_was_cut() {
    for line in [Line::Down, Line::Deaf] {
        let (town, dir, purse) = rich().await;
        let token = purse.token(&town.id, SUM).await.unwrap();
        town.set(line);
        let lost = purse.reclaim(&token).await;
        assert!(matches!(lost, Err(PurseError::Unfinished { .. })));
        drop(purse);
        town.set(Line::Up);
        let copy = copy_dir(dir.path());
        let purse = town.purse(dir.path()).await;
        assert_eq!(purse.reclaim(&token).await.unwrap(), SUM);
        assert_eq!(balance(&purse, &town).await, ALL);
        assert_eq!(purse.tokens().await, []);
        drop(purse);
        // Or the recovery brings it.
        let purse = town.purse(copy.path()).await;
        assert_eq!(purse.recover().await.unwrap(), 0);
        assert_eq!(balance(&purse, &town).await, ALL);
        assert_eq!(purse.reclaim(&token).await.unwrap(), Msat::ZERO);
        assert_eq!(purse.tokens().await, []);
        assert_eq!(town.owes().await, ALL);
    }
}

fn pick(dice: &mut Dice, texts: &[String]) -> String {
    let place = dice.roll(texts.len().max(1) as u64);
    let text = texts.get(usize::try_from(place).unwrap());
    text.cloned().unwrap_or_default()
}

/// A client and a relay who give each other tokens.
struct Walk {
    town: Town,
    dirs: [TempDir; 2],
    people: Option<(Purse, Redeemer)>,
    texts: Vec<String>,
}

impl Walk {
    async fn start(fee: u64) -> Self {
        let town = Town::with_fee(&LoopbackLightning::new(), 1, Unit::Msat, fee).await;
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let mut walk = Self {
            town,
            dirs,
            people: None,
            texts: Vec::new(),
        };
        walk.reopen().await;
        walk.town.fill(&walk.purse(), ALL).await;
        walk.redeemer().keyring().await;
        walk
    }

    /// As after a crash: what is in memory is gone.
    async fn reopen(&mut self) {
        self.people = None;
        let [one, two] = self.dirs.each_ref().map(|dir| self.town.config(dir.path()));
        let purse = Purse::open(&one).await.unwrap();
        self.people = Some((purse, Redeemer::open(&two).await.unwrap()));
    }

    fn purse(&self) -> Purse {
        self.people.as_ref().unwrap().0.clone()
    }

    fn redeemer(&self) -> Redeemer {
        self.people.as_ref().unwrap().1.clone()
    }

    async fn step(&mut self, dice: &mut Dice) {
        let (purse, redeemer, mint) = (self.purse(), self.redeemer(), self.town.id.clone());
        let amount = Msat::new(dice.roll(20_000));
        let text = pick(dice, &self.texts);
        let result = match dice.roll(12) {
            0 | 1 => purse.token(&mint, amount).await.map(Some),
            2 => redeemer.token(&mint, amount).await.map(Some),
            3 | 4 => redeemer.receive(&text).await.map(|_| None),
            5 => purse.receive(&text).await.map(|_| None),
            6 => purse.reclaim(&text).await.map(|_| None),
            7 => redeemer.reclaim(&text).await.map(|_| None),
            8 => purse.recover().await.map(|_| None),
            9 => redeemer.recover().await.map(|_| None),
            10 => {
                drop((purse, redeemer));
                self.reopen().await;
                Ok(None)
            }
            _ => {
                if dice.roll(2) == 0 {
                    self.town.restart().await;
                }
                let lines = [Line::Up, Line::Up, Line::Up, Line::Down, Line::Deaf];
                self.town.set(lines[usize::try_from(dice.roll(5)).unwrap()]);
                Ok(None)
            }
        };
        match result {
            Ok(made) => self.texts.extend(made),
            Err(error) => assert!(allowed(&error), "{error:?}"),
        }
    }

    /// Everything that is under way ends, every token is taken back. Returns the money of both.
    async fn end(&mut self) -> Msat {
        self.town.set(Line::Up);
        self.reopen().await;
        let (purse, redeemer) = (self.purse(), self.redeemer());
        assert_eq!(purse.recover().await.unwrap(), 0);
        assert_eq!(redeemer.recover().await.unwrap(), 0);
        for kept in purse.tokens().await {
            purse.reclaim(&kept.token).await.unwrap();
        }
        for kept in redeemer.tokens().await {
            redeemer.reclaim(&kept.token).await.unwrap();
        }
        let left = balance(&purse, &self.town).await;
        left.saturating_add(earned(&redeemer, &self.town).await)
    }
}

/// These leave nothing behind that a later try does not find.
fn allowed(error: &PurseError) -> bool {
    use PurseError::{Amount, NotAToken, Refused, Spent, TooLittle, Unfinished, UnknownToken};
    match error {
        Refused { source, .. } => panic!("{source}"),
        Amount(_) | NotAToken | Spent(_) | TooLittle { .. } | Unfinished { .. } | UnknownToken => {
            true
        }
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_unit_is_there_after_any_walk_of_tokens() {
    for seed in 1..=4u64 {
        let mut walk = Walk::start(0).await;
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..STEPS {
            walk.step(&mut dice).await;
        }
        assert!(walk.texts.len() > 3, "walk {seed} goes nowhere");
        assert_eq!(walk.end().await, ALL, "walk {seed}");
        assert_eq!(walk.town.owes().await, ALL, "walk {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_tokens_cost_a_fee_nothing_but_fees_is_lost() {
    let mut walk = Walk::start(100).await;
    let mut dice = Dice(77);
    for _ in 0..STEPS {
        walk.step(&mut dice).await;
    }
    let left = walk.end().await;
    assert_eq!(left, walk.town.owes().await);
    assert!(left < ALL && left.get() > ALL.get() - 200, "{left}");
}
