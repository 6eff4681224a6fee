//! One test for each way in which a sender can lie once the channel is open. The receiver's state
//! does not change, and it takes the next honest update.

use crate::bank::Bank;
use crate::life::{NOW, funded, funded_as, params, saved, terms};
use cashu::Amount;
use coinfuse_channel::*;
use coinfuse_wire::{Decode, DecodeError, Encode, UnixTime};

const CAPACITY: u64 = 1000;

/// An open channel in which 100 was paid.
struct Scene {
    bank: Bank,
    sender: Sender,
    receiver: Receiver,
}

impl Scene {
    fn new() -> Self {
        let mut bank = Bank::new(12, 100);
        let sender = funded(&mut bank, CAPACITY);
        let receiver = saved(terms(&bank).open(NOW, &sender.open()).unwrap());
        let sender = saved(sender.pay(NOW, 100.into()).unwrap());
        let receiver = saved(receiver.receive(NOW, &sender.update()).unwrap());
        Self {
            bank,
            sender,
            receiver,
        }
    }

    /// The sender's next word.
    fn pay(self, amount: u64) -> (Self, Update) {
        let sender = saved(self.sender.pay(NOW, amount.into()).unwrap());
        let update = sender.update();
        (Self { sender, ..self }, update)
    }

    /// Why the receiver does not take an update, at some time. It is as it was afterwards, in
    /// storage too.
    fn refusal_at(self, now: UnixTime, update: &Update) -> Refusal {
        let before = self.receiver.balance();
        let unmoved = *self.receiver.receive(now, update).unwrap_err();
        assert_eq!(unmoved.state.balance(), before);
        let scene = Self {
            receiver: unmoved.state,
            ..self
        };
        let (scene, honest) = scene.pay(1);
        let receiver = saved(scene.receiver.receive(NOW, &honest).unwrap());
        assert_eq!(receiver.balance(), honest.balance);
        unmoved.error
    }

    fn refusal(self, update: &Update) -> Refusal {
        self.refusal_at(NOW, update)
    }
}

#[test]
fn a_lower_balance() {
    let scene = Scene::new();
    let mut older = funded(&mut Bank::new(12, 100), CAPACITY);
    assert_eq!(older.id(), scene.sender.id());
    for balance in [0, 1, 98] {
        older = match balance - older.balance().to_u64() {
            0 => older,
            more => saved(older.pay(NOW, more.into()).unwrap()),
        };
        let paid = 100;
        assert_eq!(
            Scene::new().refusal(&older.update()),
            Refusal::LowerBalance { balance, paid }
        );
    }
}

#[test]
fn the_same_update_twice() {
    let scene = Scene::new();
    let update = scene.sender.update();
    assert_eq!(scene.refusal(&update), Refusal::Replay);
}

#[test]
fn the_same_update_twice_when_the_channel_buys_nothing_any_more() {
    // Its answer was lost: the sender must not believe that it was refused.
    let scene = Scene::new();
    let update = scene.sender.update();
    let late = scene.receiver.params().expiry;
    assert_eq!(scene.refusal_at(late, &update), Refusal::Replay);
}

#[test]
fn a_balance_over_capacity() {
    for balance in [CAPACITY + 1, CAPACITY + 100, u64::MAX] {
        let scene = Scene::new();
        let mut update = scene.sender.update();
        update.balance = balance.into();
        let capacity = CAPACITY;
        assert_eq!(
            scene.refusal(&update),
            Refusal::OverCapacity { balance, capacity }
        );
    }
}

#[test]
fn a_balance_that_was_not_signed() {
    for balance in [101, 200, CAPACITY] {
        let scene = Scene::new();
        let mut update = scene.sender.update();
        update.balance = balance.into();
        assert_eq!(scene.refusal(&update), Refusal::Signature);
    }
}

#[test]
fn a_signature_of_another_channel() {
    let mut scene = Scene::new();
    let mut other = params(&scene.bank, CAPACITY);
    other.setup = UnixTime::from_secs(1);
    let other = funded_as(&mut scene.bank, other, 1);
    let mut update = saved(other.pay(NOW, 200.into()).unwrap()).update();
    update.channel = scene.receiver.id();
    assert_eq!(scene.refusal(&update), Refusal::Signature);
}

#[test]
fn a_signature_with_one_bit_changed() {
    for bit in (0..512).step_by(37) {
        let (scene, update) = Scene::new().pay(1);
        let mut bytes = update.to_bytes();
        bytes[32 + bit / 8] ^= 1 << (bit % 8);
        let changed = Update::from_bytes(&bytes).unwrap();
        let unmoved = *scene.receiver.receive(NOW, &changed).unwrap_err();
        assert_eq!(unmoved.error, Refusal::Signature, "bit {bit}");
        saved(unmoved.state.receive(NOW, &update).unwrap());
    }
}

#[test]
fn an_update_for_another_channel() {
    let mut scene = Scene::new();
    let mut other = params(&scene.bank, CAPACITY);
    other.setup = UnixTime::from_secs(1);
    let other = funded_as(&mut scene.bank, other, 1);
    let update = saved(other.pay(NOW, 200.into()).unwrap()).update();
    assert_eq!(scene.refusal(&update), Refusal::OtherChannel);
}

#[test]
fn an_update_when_there_is_no_time_to_settle() {
    let (scene, update) = Scene::new().pay(1);
    let until = scene.receiver.takes_until();
    let before = UnixTime::from_secs(until.secs() - 1);
    assert!(until < scene.receiver.params().expiry);
    let unmoved = *scene.receiver.receive(until, &update).unwrap_err();
    assert_eq!(unmoved.error, Refusal::Expired);
    saved(unmoved.state.receive(before, &update).unwrap());
}

#[test]
fn an_update_to_a_closed_channel() {
    // There is no machine to give it to: a receiver that settles takes no updates, also when it
    // is loaded again, and after an older row was written back.
    let bank = Bank::new(12, 0);
    let sender = funded(&mut Bank::new(12, 0), CAPACITY);
    let mut rows = Vec::new();
    let mut write = |row: &Row| {
        rows.retain(|(part, _)| *part != row.part);
        rows.push((row.part, row.bytes.to_vec()));
        Ok::<_, std::convert::Infallible>(())
    };
    let opened = terms(&bank).open(NOW, &sender.open()).unwrap();
    let receiver = opened.save(&mut write).unwrap();
    let paid = saved(sender.pay(NOW, 100.into()).unwrap()).update();
    let receiver = receiver.receive(NOW, &paid).unwrap();
    let receiver = receiver.save(&mut write).unwrap();
    let settling = receiver.settle().save(&mut write).unwrap();
    settling.lost().save(&mut write).unwrap();
    let again = saved_rows(terms(&bank).open(NOW, &sender_again().open()).unwrap());
    rows.retain(|(part, _)| *part != again.0);
    rows.push(again);
    let state = Receiver::load(&terms(&bank), &rows).unwrap();
    assert!(matches!(state, ReceiverState::Closed(_)), "{state:?}");
}

fn sender_again() -> Sender {
    funded(&mut Bank::new(12, 0), CAPACITY)
}

fn saved_rows<S>(step: Unsaved<S>) -> (u8, Vec<u8>) {
    (step.row().part, step.row().bytes.to_vec())
}

#[test]
fn opening_a_known_channel_again_does_not_lower_what_is_written() {
    // A host that forgets to ask its storage first, and an old opening that comes again.
    let scene = Scene::new();
    let older = funded(&mut Bank::new(12, 100), CAPACITY).open();
    let opening = saved_rows(terms(&scene.bank).open(NOW, &older).unwrap());
    let (scene, update) = scene.pay(50);
    let balance = saved_rows(scene.receiver.receive(NOW, &update).unwrap());
    let state = Receiver::load(&terms(&scene.bank), &[balance, opening]).unwrap();
    assert!(matches!(state, ReceiverState::Open(receiver) if receiver.balance() == update.balance));
}

#[test]
fn a_wish_to_settle_at_a_balance_that_was_not_signed() {
    let scene = Scene::new();
    let mut update = scene.sender.update();
    update.balance = 50.into();
    let unmoved = *scene.receiver.settle_at(&update).unwrap_err();
    assert_eq!(unmoved.error, Refusal::Signature);
    update.channel = ChannelId::new([0; 32]);
    let unmoved = *unmoved.state.settle_at(&update).unwrap_err();
    assert_eq!(unmoved.error, Refusal::OtherChannel);
    assert_eq!(unmoved.state.balance().to_u64(), 100);
}

#[test]
fn a_sender_that_pays_nothing_too_much_or_too_late() {
    let scene = Scene::new();
    let expiry = scene.sender.params().expiry;
    let unmoved = *scene.sender.pay(NOW, Amount::ZERO).unwrap_err();
    assert_eq!(unmoved.error, PayError::NotMore { paid: 100 });
    for amount in [CAPACITY - 99, u64::MAX] {
        let unmoved = *Scene::new().sender.pay(NOW, amount.into()).unwrap_err();
        let left = CAPACITY - 100;
        assert_eq!(unmoved.error, PayError::NotEnough { left });
    }
    let unmoved = *unmoved.state.pay(expiry, Amount::ONE).unwrap_err();
    assert_eq!(unmoved.error, PayError::Expired);
    assert_eq!(unmoved.state.balance().to_u64(), 100);
    saved(unmoved.state.pay(NOW, (CAPACITY - 100).into()).unwrap());
}

#[test]
fn bytes_that_are_no_update() {
    let scene = Scene::new();
    let bytes = scene.sender.update().to_bytes();
    for len in 0..96 {
        assert!(Update::from_bytes(&bytes[..len]).is_err(), "{len}");
    }
    let with_balance = |balance: &[u8]| Update::from_bytes(&[&bytes[..96], balance].concat());
    assert_eq!(
        with_balance(&[0, 1]),
        Err(DecodeError::NotCanonical { what: "balance" })
    );
    assert_eq!(
        with_balance(&[1; 9]),
        Err(DecodeError::TooLarge {
            what: "balance",
            got: 9,
            max: 8
        })
    );
    assert_eq!(with_balance(&[]).unwrap().balance, Amount::ZERO);
    assert_eq!(with_balance(&[0xff; 8]).unwrap().balance, u64::MAX.into());
}
