//! Every scenario with every pairing.

use crate::ours::{OurReceiver, OurSender};
use crate::scenarios;
use crate::theirs::{TheirReceiver, TheirSender};

/// A module of tests: each scenario with one sender and one receiver.
macro_rules! pairing {
    ($name:ident: $sender:ty, $receiver:ty; $($scenario:ident)*) => {
        mod $name {
            use super::*;

            $(
                #[tokio::test]
                async fn $scenario() {
                    scenarios::$scenario::<$sender, $receiver>().await;
                }
            )*
        }
    };
}

/// What either implementation can do on either side.
macro_rules! pairing_with_all {
    ($name:ident: $sender:ty, $receiver:ty; $($more:ident)*) => {
        pairing! {
            $name: $sender, $receiver;
            pays_and_closes
            opens_with_a_payment
            takes_messages_twice
            keeps_to_small_denominations
            closes_below_the_last_update
            closes_alone
            closes_under_a_new_keyset
            refunds_after_expiry
            refuses_what_was_not_signed
            sender_needs_no_answer
            $($more)*
        }
    };
}

// The baseline: when it fails, the mint or the harness is at fault and not our channels.
pairing_with_all! {
    both_theirs: TheirSender, TheirReceiver;
}

pairing_with_all! {
    ours_pays_theirs: OurSender, TheirReceiver;
}

// What follows is more than `cdk-spilman` does as a receiver. It hands the sender's coins over once,
// restores nothing that it was not told of, and no two requests of its are the same: with a lost
// answer of the mint its money is lost.
pairing_with_all! {
    theirs_pays_ours: TheirSender, OurReceiver;
    closes_twice
    settles_unanswered
    settles_forgotten
    settles_forgotten_under_an_old_keyset
    settles_forgotten_under_a_new_keyset
}

pairing_with_all! {
    both_ours: OurSender, OurReceiver;
    closes_twice
    settles_unanswered
    settles_forgotten
    settles_forgotten_under_an_old_keyset
    settles_forgotten_under_a_new_keyset
}

/// As a sender it does not restore its funding either.
mod our_sender {
    use super::*;

    #[tokio::test]
    async fn is_funded_unanswered_and_pays_theirs() {
        scenarios::is_funded_unanswered::<TheirReceiver>().await;
    }

    #[tokio::test]
    async fn is_funded_unanswered_and_pays_ours() {
        scenarios::is_funded_unanswered::<OurReceiver>().await;
    }
}
