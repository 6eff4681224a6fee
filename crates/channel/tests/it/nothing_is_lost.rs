//! Every process is killed at every moment of a channel's life: before and after each row that is
//! written, each question to the mint and each message. Whatever happens, the sender loses no more
//! than what it has paid, and no update is credited twice.

use crate::alice::Alice;
use crate::bob::Bob;
use crate::world::{Blow, World, check_money};

/// What the sender wants to have paid, one after the other.
const WANTS: [u64; 3] = [300, 301, 477];
const CAPACITY: u64 = 600;

/// How a channel's life goes.
#[derive(Debug, Clone, Copy)]
enum Life {
    /// The sender closes, the receiver settles, the sender finds what is left.
    Cooperative,
    /// The receiver settles while the sender is away.
    SenderSilent,
    /// The receiver is never heard of again.
    ReceiverSilent,
    /// The receiver settles only when the sender has taken its money back.
    ReceiverLate,
    /// The mint retires the keyset before the receiver settles.
    KeysetRetired,
    /// The mint retires the keyset while the receiver does not know whether it has settled.
    KeysetRetiredMeanwhile,
}

const LIVES: [Life; 6] = [
    Life::Cooperative,
    Life::SenderSilent,
    Life::ReceiverSilent,
    Life::ReceiverLate,
    Life::KeysetRetired,
    Life::KeysetRetiredMeanwhile,
];

struct Stage {
    world: World,
    alice: Alice,
    bob: Bob,
    /// Every process is started anew before every step.
    forgetful: bool,
}

impl Stage {
    fn new(fate: Option<(usize, Blow)>) -> Self {
        let world = World::new(fate);
        Self {
            alice: Alice::new(&world, CAPACITY),
            bob: Bob::new(&world),
            world,
            forgetful: false,
        }
    }

    fn alice_until(&mut self, reached: impl Fn(&Self) -> bool) {
        self.until(reached, |stage| {
            stage.alice.turn(&mut stage.world, &mut stage.bob, &WANTS);
        });
    }

    fn bob_until(&mut self, reached: impl Fn(&Self) -> bool) {
        self.until(reached, |stage| stage.bob.settle(&mut stage.world));
    }

    fn until(&mut self, reached: impl Fn(&Self) -> bool, turn: impl Fn(&mut Self)) {
        for _ in 0..60 {
            if reached(self) {
                return;
            }
            if self.forgetful {
                self.alice.reload();
                self.bob.forget();
            }
            turn(self);
        }
        panic!("it does not end");
    }

    fn live(&mut self, life: Life) {
        let everything_paid =
            |stage: &Self| stage.bob.balance() == WANTS.last().copied() && stage.alice.is_open();
        match life {
            Life::SenderSilent => self.alice_until(everything_paid),
            _ => self.alice_until(|stage| stage.alice.is_closing()),
        }
        match life {
            Life::ReceiverSilent | Life::ReceiverLate => self.world.wait_for_expiry(),
            Life::KeysetRetired => self.world.bank.rotate(),
            Life::KeysetRetiredMeanwhile => {
                self.bob_until(|stage| stage.world.bank.fees > 0);
                self.bob.forget();
                self.world.bank.rotate();
            }
            Life::Cooperative | Life::SenderSilent => {}
        }
        match life {
            Life::ReceiverSilent => {}
            Life::ReceiverLate => {
                self.alice_until(|stage| stage.alice.is_done());
                self.bob_until(|stage| stage.bob.is_closed());
            }
            _ => self.bob_until(|stage| stage.bob.is_closed()),
        }
        self.alice_until(|stage| stage.alice.is_done());
    }

    fn check(&self, life: Life) {
        check_money(&self.world, &self.alice, &self.bob);
        let paid = *WANTS.last().unwrap();
        assert_eq!(self.bob.disk.credited, paid, "credited once");
        let earned = self.bob.disk.money();
        match life {
            Life::ReceiverSilent | Life::ReceiverLate => assert_eq!(earned, 0),
            _ => assert!((paid..paid + 2).contains(&earned), "{earned} of {paid}"),
        }
    }
}

#[test]
fn when_no_process_is_killed() {
    for life in LIVES {
        let mut stage = Stage::new(None);
        stage.live(life);
        stage.check(life);
    }
}

#[test]
fn when_every_process_starts_anew_before_every_step() {
    for life in LIVES {
        let mut stage = Stage::new(None);
        stage.forgetful = true;
        stage.live(life);
        stage.check(life);
    }
}

/// Kills a process at each of its effects in turn.
fn at_every_effect(life: Life) {
    for blow in [Blow::Before, Blow::After] {
        let mut place = 0;
        loop {
            let mut stage = Stage::new(Some((place, blow)));
            stage.live(life);
            stage.check(life);
            if stage.world.fate.is_some() {
                break;
            }
            place += 1;
        }
        // Plan, funding, opening, three payments, closing: each written and spoken.
        assert!(place >= 15, "{life:?}: only {place} effects");
    }
}

#[test]
fn when_a_process_is_killed_in_a_cooperative_life() {
    at_every_effect(Life::Cooperative);
}

#[test]
fn when_a_process_is_killed_and_the_sender_is_silent() {
    at_every_effect(Life::SenderSilent);
}

#[test]
fn when_a_process_is_killed_and_the_receiver_is_silent() {
    at_every_effect(Life::ReceiverSilent);
}

#[test]
fn when_a_process_is_killed_and_the_receiver_is_late() {
    at_every_effect(Life::ReceiverLate);
}

#[test]
fn when_a_process_is_killed_and_the_keyset_is_retired() {
    at_every_effect(Life::KeysetRetired);
}

#[test]
fn when_a_process_is_killed_and_the_keyset_is_retired_meanwhile() {
    at_every_effect(Life::KeysetRetiredMeanwhile);
}
