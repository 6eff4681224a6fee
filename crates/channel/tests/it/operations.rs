//! Anything that two parties can do, in any order, against a model of what must be true. The bytes
//! that say what is done come from a property test or from a fuzzer.

use super::alice::Alice;
use super::bob::Bob;
use super::world::{Blow, World, check_money};
use std::time::Duration;

const CAPACITY: u64 = 100;

/// Something that happens.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    /// The sender plans, funds, or takes back what is left.
    Drive,
    /// The sender pays, and may be too poor.
    Pay(u64),
    /// The sender sends its word.
    Speak,
    /// A message comes again: an opening, or an update.
    Replay { which: u8, opening: bool },
    /// The sender closes.
    HangUp,
    /// The receiver settles, a step at a time.
    Settle,
    /// A process starts anew.
    Forget { sender: bool },
    /// A process will be killed so many effects from now.
    Strike(usize, Blow),
    /// Minutes pass.
    Wait(u64),
    /// The mint retires its keyset.
    Rotate,
}

impl From<[u8; 2]> for Operation {
    fn from([kind, value]: [u8; 2]) -> Self {
        match kind % 16 {
            0 | 1 => Self::Drive,
            2..=5 => Self::Pay((value % 32).into()),
            6 | 7 => Self::Speak,
            8 | 9 => Self::Replay {
                which: value / 2,
                opening: value % 2 == 0,
            },
            10 => Self::HangUp,
            11 => Self::Settle,
            12 => Self::Forget {
                sender: value % 2 == 0,
            },
            13 => Self::Strike(usize::from(value / 2 % 4), blow(value)),
            14 => Self::Wait(u64::from(value) * 2),
            // Seldom: there is one channel, and nothing is funded any more.
            _ if value % 8 == 0 => Self::Rotate,
            _ => Self::Drive,
        }
    }
}

const fn blow(value: u8) -> Blow {
    match value % 2 {
        0 => Blow::Before,
        _ => Blow::After,
    }
}

/// What must be true whatever happens.
#[derive(Debug, Default)]
struct Model {
    paid: u64,
    credited: u64,
}

impl Model {
    fn check(&mut self, alice: &Alice, bob: &Bob) {
        if let Some(paid) = alice.paid() {
            assert!(paid >= self.paid, "the sender's balance fell");
            self.paid = paid;
        }
        let credited = bob.disk.credited;
        assert!(credited >= self.credited, "credit was taken back");
        assert!(credited <= self.paid, "more was credited than was paid");
        self.credited = credited;
        if let Some(balance) = bob.balance() {
            assert_eq!(
                balance, credited,
                "an update was credited twice or not at all"
            );
        }
        assert!(self.paid <= CAPACITY);
    }

    /// When both have all that they can get.
    fn check_end(&self, world: &World, alice: &Alice, bob: &Bob) {
        check_money(world, alice, bob);
        let earned = bob.disk.money();
        match alice.disk.has("refund") {
            true => assert_eq!(earned, 0),
            // A coin's fee is rounded up, in the receiver's favour.
            false => assert!((self.credited..=self.credited + 2).contains(&earned)),
        }
    }
}

struct Play {
    world: World,
    alice: Alice,
    bob: Bob,
    /// All that the sender could have said: an opening and an update at a time.
    words: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Plays the operations, then brings the channel to its end. `refund` says whether the receiver
/// then settles too late.
pub(crate) fn play(operations: impl Iterator<Item = Operation>, refund: bool) {
    let world = World::new(None);
    let mut play = Play {
        alice: Alice::new(&world, CAPACITY),
        bob: Bob::new(&world),
        words: Vec::new(),
        world,
    };
    let mut model = Model::default();
    for operation in operations {
        play.operate(operation);
        model.check(&play.alice, &play.bob);
    }
    play.end(refund);
    model.check_end(&play.world, &play.alice, &play.bob);
}

impl Play {
    fn operate(&mut self, operation: Operation) {
        let Self {
            world, alice, bob, ..
        } = self;
        match operation {
            Operation::Drive => alice.drive(world),
            Operation::Pay(amount) => {
                alice.spend(world, amount);
                self.words.extend(self.alice.words());
            }
            Operation::Speak => alice.speak(world, bob),
            Operation::Replay { which, opening } => self.replay(which, opening),
            Operation::HangUp => alice.hang_up(world),
            Operation::Settle => bob.settle(world),
            Operation::Forget { sender: true } => alice.forget(),
            Operation::Forget { sender: false } => bob.forget(),
            Operation::Strike(after, blow) => world.fate = Some((world.effects + after, blow)),
            Operation::Wait(minutes) => world.wait(Duration::from_secs(60 * minutes)),
            Operation::Rotate => world.bank.rotate(),
        }
    }

    fn replay(&mut self, which: u8, opening: bool) {
        let Some(last) = self.words.len().checked_sub(1) else {
            return;
        };
        let (open, update) = &self.words[usize::from(which).min(last)];
        match opening {
            true => self.bob.hear_open(&mut self.world, open),
            false => self.bob.hear_update(&mut self.world, update),
        };
    }

    fn end(&mut self, refund: bool) {
        let opened = self.bob.state().is_some();
        if opened && !refund {
            self.settle();
        }
        self.world.wait_for_expiry();
        self.until(
            |play| play.alice.is_done(),
            |play| {
                play.alice.hang_up(&mut play.world);
                play.alice.drive(&mut play.world);
            },
        );
        if opened {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.until(
            |play| play.bob.is_closed(),
            |play| play.bob.settle(&mut play.world),
        );
    }

    fn until(&mut self, reached: impl Fn(&Self) -> bool, step: impl Fn(&mut Self)) {
        for _ in 0..20 {
            if reached(self) {
                return;
            }
            step(self);
        }
        panic!("it does not end");
    }
}
