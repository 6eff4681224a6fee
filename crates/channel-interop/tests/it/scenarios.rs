//! The life of a channel, whoever implements its two sides.

use crate::http::json;
use crate::ours::OurSender;
use crate::roles::{Receiver, Sender, Terms};
use crate::world::World;

/// Mint fees, in thousandths of a unit per coin: none, and one at which they round.
pub(crate) const FEES: [u64; 2] = [0, 100];

const HOUR: u64 = 3_600;

/// The life of a channel that a test waits out: the mint's clock is the system's. Long enough for
/// a slow machine to open it, because nobody can derive a funding of the past with `cdk-spilman`.
const SHORT: u64 = 4;

const TERMS: Terms = Terms {
    coins: 5_000,
    maximum_amount: 0,
    lifetime: 2 * HOUR,
};

/// A registered channel between two parties at a mint.
struct Pair<S, R> {
    world: World,
    sender: S,
    receiver: R,
}

impl<S: Sender, R: Receiver> Pair<S, R> {
    async fn open(fee: u64, terms: Terms, min_lifetime: u64) -> Self {
        let world = World::start(fee).await;
        let receiver = R::start(&world, min_lifetime).await;
        let sender = S::open(&world, &receiver.offer(), terms).await;
        Self::register(world, sender, receiver)
    }

    fn register(world: World, mut sender: S, mut receiver: R) -> Self {
        let answer = receiver.register(&sender.register()).expect("registered");
        let answer = json(&answer);
        assert_eq!(answer["channel_id"], sender.channel_id());
        assert_eq!(answer["capacity"], sender.capacity());
        Self {
            world,
            sender,
            receiver,
        }
    }

    /// Pays up to the cumulative `balance`.
    fn pay(&mut self, balance: u64) {
        let answer = self.receiver.accept(&self.sender.pay(balance));
        let answer = json(&answer.expect("accepted"));
        assert_eq!(answer["balance"], balance);
    }

    /// Closes by agreement; the answer with the sender's coins.
    async fn close(&mut self, balance: u64) -> String {
        let asking = self.sender.ask_to_close(balance);
        self.receiver.close(&asking).await.expect("closed")
    }

    /// The receiver closes without asking.
    async fn close_alone(&mut self) -> Result<(), String> {
        let id = self.sender.channel_id().to_owned();
        self.receiver.close_alone(&id).await
    }

    /// The same, but the mint's answer to the receiver gets lost.
    async fn close_unanswered(&mut self) {
        self.receiver.lose_next_answer();
        let unknown = self.close_alone().await;
        unknown.expect_err("there was no answer");
    }

    /// After [`Self::close_unanswered`]: the receiver asks again, and both get what is theirs.
    async fn settle_late(&mut self, balance: u64) {
        self.close_alone().await.expect("settled");
        let sender_got = self.sender.restore(&self.world).await;
        self.settled_at(balance, sender_got).await;
    }

    /// Both parties' shares are in plain coins, the receiver's is what was paid, and there are no
    /// other coins in the world.
    async fn settled_at(&mut self, balance: u64, sender_got: u64) {
        let receiver_got = self.receiver.collect(&self.world).await;
        assert!(receiver_got >= balance, "{receiver_got} of {balance}");
        // A fee can make it impossible to give exactly the balance.
        assert!(receiver_got <= balance + 1, "{receiver_got} of {balance}");
        assert_eq!(self.world.owes().await, sender_got + receiver_got);
    }
}

/// Opens, pays and closes by agreement: at nothing, at little, in between, at the capacity.
pub(crate) async fn pays_and_closes<S: Sender, R: Receiver>() {
    for fee in FEES {
        for thousandths in [0, 1, 500, 1_000] {
            let mut pair = Pair::<S, R>::open(fee, TERMS, HOUR).await;
            let last = pair.sender.capacity() * thousandths / 1_000;
            pair.pay(last / 3);
            pair.pay(last);
            let answer = pair.close(last).await;
            let sender_got = pair.sender.collect(&pair.world, &answer).await;
            pair.settled_at(last, sender_got).await;
        }
    }
}

/// The mint signs the funding, but its answer gets lost.
pub(crate) async fn is_funded_unanswered<R: Receiver>() {
    for fee in FEES {
        let world = World::start(fee).await;
        let receiver = R::start(&world, HOUR).await;
        let sender = OurSender::open_unanswered(&world, &receiver.offer(), TERMS).await;
        let mut pair = Pair::register(world, sender, receiver);
        pair.pay(1_234);
        let answer = pair.close(1_234).await;
        let sender_got = pair.sender.collect(&pair.world, &answer).await;
        pair.settled_at(1_234, sender_got).await;
    }
}

/// The message that brings the funding pays as well.
pub(crate) async fn opens_with_a_payment<S: Sender, R: Receiver>() {
    let world = World::start(0).await;
    let mut receiver = R::start(&world, HOUR).await;
    let mut sender = S::open(&world, &receiver.offer(), TERMS).await;
    let answer = receiver.accept(&sender.pay_first(1_000));
    assert_eq!(json(&answer.expect("accepted"))["balance"], 1_000);
    let mut pair = Pair {
        world,
        sender,
        receiver,
    };
    pair.pay(1_234);
    let answer = pair.close(1_234).await;
    let sender_got = pair.sender.collect(&pair.world, &answer).await;
    pair.settled_at(1_234, sender_got).await;
}

/// A sender whose answer was lost sends its message again: nothing changes.
pub(crate) async fn takes_messages_twice<S: Sender, R: Receiver>() {
    let mut pair = Pair::<S, R>::open(0, TERMS, HOUR).await;
    let answer = pair.receiver.register(&pair.sender.register());
    assert_eq!(json(&answer.expect("known"))["already_known"], true);
    let update = pair.sender.pay(1_234);
    for _ in 0..2 {
        let answer = pair.receiver.accept(&update);
        assert_eq!(json(&answer.expect("accepted"))["balance"], 1_234);
    }
    let answer = pair.close(1_234).await;
    let sender_got = pair.sender.collect(&pair.world, &answer).await;
    pair.settled_at(1_234, sender_got).await;
}

/// Many coins of few denominations, so that several of one denomination meet in a commitment. Not
/// more than ten, so that what is swapped into the funding costs as much as the funding itself: their
/// client takes the one for the other.
pub(crate) async fn keeps_to_small_denominations<S: Sender, R: Receiver>() {
    for fee in FEES {
        let terms = Terms {
            maximum_amount: 64,
            coins: 500,
            ..TERMS
        };
        let mut pair = Pair::<S, R>::open(fee, terms, HOUR).await;
        pair.pay(250);
        let answer = pair.close(250).await;
        let coins = json(&answer)["sender_proofs"].take();
        let mut coins = coins.as_array().expect("coins").iter();
        assert!(coins.all(|coin| coin["amount"].as_u64() <= Some(64)));
        let sender_got = pair.sender.collect(&pair.world, &answer).await;
        pair.settled_at(250, sender_got).await;
    }
}

/// The parties agree on less than was paid last.
pub(crate) async fn closes_below_the_last_update<S: Sender, R: Receiver>() {
    for fee in FEES {
        let mut pair = Pair::<S, R>::open(fee, TERMS, HOUR).await;
        pair.pay(3_000);
        let id = pair.sender.channel_id().to_owned();
        pair.receiver.forgive(&id, 1_000);
        let answer = pair.close(1_000).await;
        let sender_got = pair.sender.collect(&pair.world, &answer).await;
        pair.settled_at(1_000, sender_got).await;
    }
}

/// The receiver's answer gets lost: asked again, it hands over the same coins.
pub(crate) async fn closes_twice<S: Sender, R: Receiver>() {
    let mut pair = Pair::<S, R>::open(0, TERMS, HOUR).await;
    pair.pay(1_234);
    let first = json(&pair.close(1_234).await);
    let again = pair.close(1_234).await;
    assert_eq!(first["already_closed"], false);
    assert_eq!(json(&again)["already_closed"], true);
    assert_eq!(json(&again)["sender_proofs"], first["sender_proofs"]);
    let sender_got = pair.sender.collect(&pair.world, &again).await;
    pair.settled_at(1_234, sender_got).await;
}

/// The receiver settles at the highest update and says nothing; the sender finds its share.
pub(crate) async fn closes_alone<S: Sender, R: Receiver>() {
    for fee in FEES {
        let mut pair = Pair::<S, R>::open(fee, TERMS, HOUR).await;
        pair.pay(700);
        pair.pay(1_234);
        pair.close_alone().await.expect("settled");
        let sender_got = pair.sender.restore(&pair.world).await;
        pair.settled_at(1_234, sender_got).await;
    }
}

/// The mint changes its keys while the channel is open: the signatures stay good. It changes them
/// again before the sender looks, so that its share is of neither the first nor the present ones.
pub(crate) async fn closes_under_a_new_keyset<S: Sender, R: Receiver>() {
    for fee in FEES {
        let mut pair = Pair::<S, R>::open(fee, TERMS, HOUR).await;
        pair.pay(1_234);
        pair.world.rotate_keyset().await;
        pair.close_alone().await.expect("settled");
        pair.world.rotate_keyset().await;
        let sender_got = pair.sender.restore(&pair.world).await;
        pair.settled_at(1_234, sender_got).await;
    }
}

/// The mint settles, but its answer to the receiver gets lost: asked the same again, it answers the
/// same (NUT-19).
pub(crate) async fn settles_unanswered<S: Sender, R: Receiver>() {
    for fee in FEES {
        let mut pair = Pair::<S, R>::open(fee, TERMS, HOUR).await;
        pair.pay(1_234);
        pair.close_unanswered().await;
        pair.settle_late(1_234).await;
    }
}

/// The same, but the mint has forgotten its answer: the receiver restores its coins (NUT-09).
pub(crate) async fn settles_forgotten<S: Sender, R: Receiver>() {
    for fee in FEES {
        let mut pair = Pair::<S, R>::open(fee, TERMS, HOUR).await;
        pair.pay(1_234);
        pair.close_unanswered().await;
        pair.world.restart_mint().await;
        pair.settle_late(1_234).await;
    }
}

/// The same, and the mint has changed its keys: what is restored was signed with the old ones.
pub(crate) async fn settles_forgotten_under_an_old_keyset<S: Sender, R: Receiver>() {
    for fee in FEES {
        let mut pair = Pair::<S, R>::open(fee, TERMS, HOUR).await;
        pair.pay(1_234);
        pair.close_unanswered().await;
        pair.world.rotate_keyset().await;
        pair.world.restart_mint().await;
        pair.settle_late(1_234).await;
    }
}

/// The other way round: settled under new keys, and the answer to that gets lost.
pub(crate) async fn settles_forgotten_under_a_new_keyset<S: Sender, R: Receiver>() {
    for fee in FEES {
        let mut pair = Pair::<S, R>::open(fee, TERMS, HOUR).await;
        pair.pay(1_234);
        pair.world.rotate_keyset().await;
        pair.close_unanswered().await;
        pair.world.restart_mint().await;
        pair.settle_late(1_234).await;
    }
}

/// The mint settles, but its answer to the receiver gets lost, and the receiver does nothing about
/// it: the sender has what is its own.
pub(crate) async fn sender_needs_no_answer<S: Sender, R: Receiver>() {
    let mut pair = Pair::<S, R>::open(0, TERMS, HOUR).await;
    pair.pay(1_234);
    pair.close_unanswered().await;
    let sender_got = pair.sender.restore(&pair.world).await;
    assert_eq!(sender_got, pair.sender.capacity() - 1_234);
}

/// The receiver never settles: after the expiry, and not before, all is the sender's again.
pub(crate) async fn refunds_after_expiry<S: Sender, R: Receiver>() {
    let terms = Terms {
        lifetime: SHORT,
        ..TERMS
    };
    let mut pair = Pair::<S, R>::open(FEES[1], terms, 0).await;
    pair.pay(1_234);
    let before = pair.world.owes().await;
    let early = pair.sender.refund(&pair.world).await;
    early.expect_err("the receiver's time is not up");
    assert_eq!(pair.world.owes().await, before);

    pair.world.wait_for(pair.sender.expiry()).await;
    let sender_got = pair.sender.refund(&pair.world).await.expect("a refund");
    assert_eq!(pair.world.owes().await, sender_got);
    assert!(sender_got >= pair.sender.capacity());
    let late = pair.close_alone().await;
    late.expect_err("the coins are spent");
}

/// What a receiver must not take, though a sender of the other kind made most of it.
pub(crate) async fn refuses_what_was_not_signed<S: Sender, R: Receiver>() {
    let mut pair = Pair::<S, R>::open(0, TERMS, HOUR).await;
    let update = pair.sender.pay(100);
    let mut forged = json(&update);
    forged["balance"] = 101.into();
    let refusal = pair.receiver.accept(&forged.to_string());
    refusal.expect_err("not what was signed");

    pair.pay(200);
    let refusal = pair.receiver.accept(&update);
    refusal.expect_err("less than before");

    let over = pair.sender.capacity() + 1;
    forged["balance"] = over.into();
    let refusal = pair.receiver.accept(&forged.to_string());
    refusal.expect_err("more than there is");

    let answer = pair.close(200).await;
    let refusal = pair.receiver.accept(&update);
    refusal.expect_err("closed");
    let sender_got = pair.sender.collect(&pair.world, &answer).await;
    pair.settled_at(200, sender_got).await;
}
