//! Payment channels: their messages, what they write down, and their parties.
//!
//! The mint, the parties and the model are those of the crate's own tests.

use crate::laws::{canonical, choose, text};
use coinfuse_channel::json::Payment;
use coinfuse_channel::{
    Open, Params, Receiver, ReceiverState, Sender, SenderState, Terms, Unsaved, Update,
};
use coinfuse_wire::{Decode, Encode};
use std::convert::Infallible;
use std::sync::OnceLock;

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../crates/channel/tests/it/alice.rs"]
mod alice;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../crates/channel/tests/it/bank.rs"]
mod bank;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../crates/channel/tests/it/bob.rs"]
mod bob;
#[path = "../../../crates/channel/tests/it/operations.rs"]
mod operations;
mod scene;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../crates/channel/tests/it/world.rs"]
mod world;

mod seeds;

use scene::NOW;
pub use seeds::{Seed, channel_seeds};

/// Every message, in both forms.
pub fn channel_messages(data: &[u8]) {
    let Some((choice, data)) = choose(data, 6) else {
        return;
    };
    match choice {
        0 => canonical::<Open>(data),
        1 => canonical::<Update>(data),
        2 => canonical::<Params>(data),
        3 => payment(data),
        4 => update(data),
        _ => params(data),
    }
}

/// What is read from JSON can be written, and read again.
fn payment(data: &[u8]) {
    match text(data).map(Payment::from_json) {
        Some(Ok(Payment::Open(open))) => {
            let written = open.to_json().expect("it has claims");
            assert!(Open::from_json(&written).as_ref() == Ok(&*open));
            let mut plain = *open;
            plain.proofs.iter_mut().for_each(|proof| proof.claim = None);
            // A mint's name may be longer than a message takes; then it is no accepted mint.
            if let Ok(binary) = Open::from_bytes(&plain.to_bytes()) {
                assert!(binary == plain);
            }
        }
        Some(Ok(Payment::Update(update))) => {
            assert_eq!(Update::from_json(&update.to_json()), Ok(update));
        }
        _ => {}
    }
}

fn update(data: &[u8]) {
    if let Some(Ok(update)) = text(data).map(Update::from_json) {
        assert_eq!(Update::from_json(&update.to_json_message()), Ok(update));
        assert_eq!(Update::from_bytes(&update.to_bytes()), Ok(update));
    }
}

fn params(data: &[u8]) {
    if let Some(Ok(params)) = text(data).map(Params::from_json) {
        assert!(Params::from_json(&params.to_json()) == Ok(params));
    }
}

/// An honest sender's messages, and the receiver that takes them.
struct Honest {
    terms: Terms,
    open: Vec<u8>,
    update: Vec<u8>,
}

fn honest() -> &'static Honest {
    static HONEST: OnceLock<Honest> = OnceLock::new();
    HONEST.get_or_init(|| {
        let (terms, sender) = scene::funded();
        let open = sender.open().to_bytes();
        let sender = saved(sender.pay(NOW, 3.into()).expect("there is enough"));
        Honest {
            terms,
            open,
            update: sender.update().to_bytes(),
        }
    })
}

fn saved<S: std::fmt::Debug>(step: Unsaved<S>) -> S {
    step.save(|_| Ok::<_, Infallible>(())).expect("saved")
}

/// Nobody on the way can change a message so that it is still taken. The data are patches to an
/// honest one: where (two bytes), and what is there instead.
pub fn channel_forgeries(data: &[u8]) {
    let Some((choice, patches)) = choose(data, 2) else {
        return;
    };
    let honest = honest();
    let message = match choice {
        0 => &honest.open,
        _ => &honest.update,
    };
    let forged = patch(message, patches);
    let taken = match choice {
        0 => Open::from_bytes(&forged).is_ok_and(|open| honest.terms.open(NOW, &open).is_ok()),
        _ => Update::from_bytes(&forged).is_ok_and(|update| takes(honest, &update)),
    };
    assert_eq!(taken, forged == *message);
}

fn patch(message: &[u8], patches: &[u8]) -> Vec<u8> {
    let mut forged = message.to_vec();
    for patch in patches.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([patch[0], patch[1]]));
        match forged.get_mut(place) {
            Some(byte) => *byte = patch[2],
            // Behind the end: longer or shorter.
            None if place % 2 == 0 => forged.push(patch[2]),
            None => drop(forged.pop()),
        }
    }
    forged
}

fn takes(honest: &Honest, update: &Update) -> bool {
    let open = Open::from_bytes(&honest.open).expect("an honest message");
    let opened = honest.terms.open(NOW, &open).expect("it is taken");
    match saved(opened).receive(NOW, update) {
        Ok(step) => {
            let receiver = saved(step);
            assert_eq!(receiver.balance(), update.balance);
            assert!(receiver.balance() <= receiver.params().capacity);
            true
        }
        Err(unmoved) => {
            assert_eq!(unmoved.state.balance().to_u64(), 0);
            false
        }
    }
}

/// Rows that were damaged are an error and no more; what they load works. Each row is its part, two
/// bytes of length, and so many bytes.
pub fn channel_rows(data: &[u8]) {
    let Some((choice, rest)) = choose(data, 2) else {
        return;
    };
    let rows = rows(rest);
    match choice {
        0 => sender(&rows),
        _ => receiver(&rows),
    }
}

fn rows(mut data: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut rows = Vec::new();
    while let Some(([part, high, low], rest)) = data.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        rows.push((*part, rest[..len].to_vec()));
        data = &rest[len..];
    }
    rows
}

fn sender(rows: &[(u8, Vec<u8>)]) {
    match Sender::load(rows) {
        Ok(SenderState::Open(sender)) => {
            let (paid, capacity) = (sender.balance(), sender.params().capacity);
            assert!(paid <= capacity);
            match sender.pay(NOW, 1.into()) {
                Ok(step) => assert_eq!(saved(step).balance(), paid + 1.into()),
                Err(unmoved) => assert_eq!(unmoved.state.balance(), paid),
            }
        }
        Ok(SenderState::Planned(planned)) => assert!(!planned.outputs().is_empty()),
        Ok(SenderState::Closing(closing)) => {
            assert!(closing.watch().is_some());
            assert!(
                closing
                    .search(&[])
                    .question()
                    .is_ok_and(|question| question.is_some())
            );
        }
        Ok(SenderState::Done(_)) | Err(_) => {}
    }
}

fn receiver(rows: &[(u8, Vec<u8>)]) {
    match Receiver::load(&honest().terms, rows) {
        Ok(ReceiverState::Open(receiver)) => {
            let _ = saved(receiver.settle()).swap();
        }
        Ok(ReceiverState::Settling(settling)) => {
            let _ = settling.swap();
        }
        Ok(ReceiverState::Settled(settled)) => settled.coins().iter().for_each(|coin| {
            coin.signed();
        }),
        Ok(ReceiverState::Closed(_)) | Err(_) => {}
    }
}

/// Two parties and their mint: the first byte says who is late in the end, then two bytes are an
/// operation.
pub fn channel_operations(data: &[u8]) {
    let Some((&refund, rest)) = data.split_first() else {
        return;
    };
    let pairs = rest.chunks_exact(2).take(40);
    let operations = pairs.map(|pair| operations::Operation::from([pair[0], pair[1]]));
    operations::play(operations, refund % 2 == 1);
}
