//! What is a submission, and why not.

use super::{child_of, package, single, spending, transaction};
use bitcoin::consensus::serialize;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, Witness};
use coinfuse_delivery::mempool::{Part, Rejection, Submission, SubmissionError};
use proptest::prelude::*;

fn refused(transaction: &Transaction) -> SubmissionError {
    Submission::single(&serialize(transaction)).unwrap_err()
}

#[test]
fn one_transaction_goes_over_the_wire_and_comes_back() {
    let sent = transaction(1, 1);
    let submission = single(&sent);
    assert_eq!(submission.encode(), [&[1][..], &serialize(&sent)].concat());
    assert_eq!(
        Submission::decode(&submission.encode()),
        Ok(submission.clone())
    );
    assert_eq!(submission.txid(), sent.compute_txid());
    assert!(!submission.is_package());
}

#[test]
fn a_package_goes_over_the_wire_and_comes_back() {
    let (_, child, submission) = package(1);
    assert_eq!(
        Submission::decode(&submission.encode()),
        Ok(submission.clone())
    );
    assert_eq!(submission.txid(), child.compute_txid());
    assert_eq!(submission.wtxid(), child.compute_wtxid());
    assert!(submission.is_package());
}

#[test]
fn a_submission_does_not_print_what_is_in_it() {
    let submission = single(&transaction(1, 1));
    assert_eq!(format!("{submission:?}"), "Submission([scrubbed])");
}

#[test]
fn nothing_is_not_a_submission() {
    let error = Submission::decode(&[]).unwrap_err();
    assert!(matches!(error, SubmissionError::Frame(_)));
    assert_eq!(error.class(), Rejection::Malformed);
}

#[test]
fn a_third_kind_is_not_a_submission() {
    let bytes = [&[3][..], &serialize(&transaction(1, 1))].concat();
    let error = Submission::decode(&bytes).unwrap_err();
    assert!(matches!(error, SubmissionError::Frame(_)));
}

#[test]
fn bytes_after_the_transaction_are_refused() {
    let bytes = [serialize(&transaction(1, 1)), vec![0]].concat();
    let error = Submission::single(&bytes).unwrap_err();
    assert_eq!(error, SubmissionError::Transaction { part: Part::Child });
    assert_eq!(error.class(), Rejection::Malformed);
}

#[test]
fn a_transaction_cut_off_anywhere_is_refused() {
    let bytes = serialize(&transaction(1, 1));
    for len in 0..bytes.len() {
        assert!(Submission::single(&bytes[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn more_bytes_than_can_be_light_are_not_parsed() {
    let error = Submission::single(&vec![0; 400_001]).unwrap_err();
    assert_eq!(error.class(), Rejection::TooHeavy);
    let (part, got, most) = (Part::Child, 400_001, 400_000);
    assert_eq!(error, SubmissionError::TooLong { part, got, most });
}

#[test]
fn a_parent_that_claims_more_bytes_than_there_are_is_refused() {
    let bytes = [2, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3];
    let error = Submission::decode(&bytes).unwrap_err();
    assert!(matches!(error, SubmissionError::Frame(_)));
}

#[test]
fn a_transaction_that_is_too_heavy_is_refused() {
    let mut heavy = transaction(1, 1);
    heavy.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0x51; 100_000]);
    let error = refused(&heavy);
    assert!(matches!(error, SubmissionError::TooHeavy { got, .. } if got > 400_000));
    assert_eq!(error.class(), Rejection::TooHeavy);
}

#[test]
fn two_transactions_that_are_too_heavy_together_are_refused() {
    let mut parent = transaction(1, 2);
    parent.input[0].witness = Witness::from_slice(&[vec![0; 250_000]]);
    let mut child = child_of(&parent);
    child.input[0].witness = Witness::from_slice(&[vec![0; 250_000]]);
    let both = Submission::package(&serialize(&parent), &serialize(&child));
    let error = both.unwrap_err();
    assert!(matches!(error, SubmissionError::PackageTooHeavy { .. }));
    assert_eq!(error.class(), Rejection::TooHeavy);
}

#[test]
fn a_transaction_that_is_too_small_is_refused() {
    let mut small = transaction(1, 1);
    small.output[0].script_pubkey = ScriptBuf::new();
    small.input[0].witness = Witness::new();
    let (part, got, least) = (Part::Child, 60, 65);
    assert_eq!(
        refused(&small),
        SubmissionError::TooSmall { part, got, least }
    );
}

#[test]
fn a_coinbase_is_refused() {
    let coinbase = spending(OutPoint::null(), 1);
    let part = Part::Child;
    assert_eq!(refused(&coinbase), SubmissionError::Coinbase { part });
}

#[test]
fn a_transaction_without_outputs_is_refused() {
    let mut empty = transaction(1, 0);
    empty.input[0].script_sig = ScriptBuf::from_bytes(vec![0x51; 20]);
    let part = Part::Child;
    assert_eq!(refused(&empty), SubmissionError::Empty { part });
}

#[test]
fn an_output_spent_twice_is_refused() {
    let mut twice = transaction(1, 1);
    twice.input.push(twice.input[0].clone());
    let part = Part::Child;
    assert_eq!(refused(&twice), SubmissionError::SpendsTwice { part });
}

#[test]
fn more_bitcoin_than_there_are_is_refused() {
    let mut rich = transaction(1, 2);
    rich.output[0].value = Amount::MAX_MONEY;
    let part = Part::Child;
    assert_eq!(refused(&rich), SubmissionError::Amount { part });
    rich.output[0].value = Amount::from_sat(u64::MAX);
    assert_eq!(refused(&rich), SubmissionError::Amount { part });
}

fn refused_package(parent: &Transaction, child: &Transaction) -> SubmissionError {
    Submission::package(&serialize(parent), &serialize(child)).unwrap_err()
}

#[test]
fn two_strangers_are_not_a_package() {
    let error = refused_package(&transaction(1, 1), &transaction(2, 1));
    assert_eq!(error, SubmissionError::NotAChild);
    assert_eq!(error.class(), Rejection::Package);
}

#[test]
fn the_child_does_not_come_first() {
    let parent = transaction(1, 1);
    let error = refused_package(&child_of(&parent), &parent);
    assert_eq!(error, SubmissionError::NotAChild);
}

#[test]
fn a_transaction_is_not_its_own_child() {
    let parent = transaction(1, 1);
    assert_eq!(
        refused_package(&parent, &parent),
        SubmissionError::NotAChild
    );
}

#[test]
fn a_child_spends_only_what_its_parent_has() {
    let parent = transaction(1, 2);
    let child = spending(OutPoint::new(parent.compute_txid(), 2), 1);
    assert_eq!(
        refused_package(&parent, &child),
        SubmissionError::NoSuchOutput(2)
    );
}

#[test]
fn parent_and_child_do_not_spend_the_same() {
    let parent = transaction(1, 1);
    let mut child = child_of(&parent);
    child.input.push(parent.input[0].clone());
    assert_eq!(refused_package(&parent, &child), SubmissionError::Conflict);
}

#[test]
fn a_faulty_parent_is_named() {
    let child = serialize(&transaction(1, 1));
    let error = Submission::package(&[1, 2, 3], &child).unwrap_err();
    assert_eq!(error, SubmissionError::Transaction { part: Part::Parent });
}

proptest! {
    #[test]
    fn any_bytes_are_a_submission_in_its_only_form_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        if let Ok(submission) = Submission::decode(&bytes) {
            prop_assert_eq!(submission.encode(), bytes);
        }
    }

    #[test]
    fn a_changed_byte_makes_another_submission_or_none(at in 0usize..1000, flip in 1u8..) {
        let (_, _, submission) = package(1);
        let mut bytes = submission.encode();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        if let Ok(other) = Submission::decode(&bytes) {
            prop_assert_ne!(&other, &submission);
            prop_assert_eq!(other.encode(), bytes);
        }
    }
}
