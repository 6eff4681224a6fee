//! A small channel, and all that is written down about it.

use super::bank::Bank;
use super::saved;
use cashu::{Amount, CurrencyUnit, SecretKey};
use coinfuse_channel::{Params, Planned, Row, Sender, Terms, Unsaved};
use coinfuse_wire::UnixTime;
use std::convert::Infallible;
use std::time::Duration;

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);
const MINT: &str = "https://mint.example";

fn key(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).expect("a scalar")
}

fn bank() -> Bank {
    Bank::of(7, &[1, 2, 4, 8], 100, None)
}

fn params(bank: &Bank) -> Params {
    Params {
        mint: MINT.into(),
        unit: CurrencyUnit::Msat,
        capacity: 10.into(),
        funding_amount: 12.into(),
        keyset_id: bank.published.id,
        input_fee_ppk: 100,
        max_amount: Amount::ZERO,
        setup: NOW,
        expiry: NOW.saturating_add(Duration::from_secs(86_400)),
        sender: key(1).public_key(),
        receiver: key(2).public_key(),
    }
}

fn terms(bank: &Bank) -> Terms {
    let mut terms = Terms::new(key(2));
    terms.keysets.push((MINT.into(), bank.keyset()));
    terms
}

/// A receiver, and a sender with a channel to it.
pub(super) fn funded() -> (Terms, Sender) {
    let mut bank = bank();
    let planned = Planned::new(params(&bank), &bank.keyset(), &key(1)).expect("good terms");
    let planned = saved(planned);
    let signatures = bank.issue(&planned.outputs());
    let sender = saved(planned.funded(&signatures).expect("honest signatures"));
    (terms(&bank), sender)
}

/// Rows as they are read back.
type Rows = Vec<(u8, Vec<u8>)>;

/// A disk, and what it was like at times.
#[derive(Default)]
struct Disk {
    rows: Rows,
    sender: bool,
    kept: Vec<(&'static str, bool, Rows)>,
}

impl Disk {
    fn save<S: std::fmt::Debug>(&mut self, name: &'static str, step: Unsaved<S>) -> S {
        let write = |row: &Row| {
            self.rows.retain(|(part, _)| *part != row.part);
            self.rows.push((row.part, row.bytes.to_vec()));
            Ok::<_, Infallible>(())
        };
        let next = step.save(write).expect("saved");
        self.kept.push((name, self.sender, self.rows.clone()));
        next
    }
}

/// The rows after each step of a life: their name, whether they are the sender's, and they.
pub(super) fn rows() -> Vec<(&'static str, bool, Rows)> {
    let (mut bank, mut alice, mut bob) = (bank(), Disk::default(), Disk::default());
    alice.sender = true;
    let planned = Planned::new(params(&bank), &bank.keyset(), &key(1)).expect("good terms");
    let planned = alice.save("planned", planned);
    let signatures = bank.issue(&planned.outputs());
    let sender = planned.funded(&signatures).expect("honest signatures");
    let sender = alice.save("funded", sender);
    let receiver = terms(&bank)
        .open(NOW, &sender.open())
        .expect("an honest opening");
    let receiver = bob.save("opened", receiver);
    let sender = alice.save("paid", sender.pay(NOW, 3.into()).expect("enough"));
    let receiver = receiver
        .receive(NOW, &sender.update())
        .expect("an honest update");
    let receiver = bob.save("credited", receiver);
    alice.save("closing", sender.close());
    let settling = bob.save("settling", receiver.settle());
    let swap = settling.swap().expect("it was derived before");
    let signatures = bank.swap(&swap).expect("good witnesses");
    let settled = settling.settled(&signatures).expect("honest signatures");
    let settled = bob.save("settled", settled);
    bob.save("closed", settled.collected());
    [alice.kept, bob.kept].concat()
}
