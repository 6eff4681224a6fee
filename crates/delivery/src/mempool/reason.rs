//! Bitcoin Core's reasons, by class.

use super::Rejection;

/// What `testmempoolaccept`, `submitpackage` and `sendrawtransaction` give as reasons, in the
/// words of Bitcoin Core 31 (`validation.cpp`, `policy/`, `consensus/`). The first line that
/// begins a reason names its class.
const REASONS: [(&str, Rejection); 35] = [
    ("txn-already-in-mempool", Rejection::AlreadyKnown),
    ("txn-already-known", Rejection::AlreadyKnown),
    (
        "txn-same-nonwitness-data-in-mempool",
        Rejection::AlreadyKnown,
    ),
    (
        "Transaction outputs already in utxo set",
        Rejection::AlreadyKnown,
    ),
    (
        "Transaction already in block chain",
        Rejection::AlreadyKnown,
    ),
    ("missing-inputs", Rejection::MissingInputs),
    ("bad-txns-inputs-missingorspent", Rejection::MissingInputs),
    ("Missing inputs", Rejection::MissingInputs),
    ("txn-mempool-conflict", Rejection::Conflict),
    ("bip125-replacement-disallowed", Rejection::Conflict),
    ("bad-txns-spends-conflicting-tx", Rejection::Conflict),
    ("too many potential replacements", Rejection::Conflict),
    ("replacement-adds-unconfirmed", Rejection::Conflict),
    ("conflict-in-package", Rejection::Conflict),
    ("package RBF failed: insufficient", Rejection::FeeTooLow),
    ("package RBF failed: package feerate", Rejection::FeeTooLow),
    ("package RBF failed", Rejection::Conflict),
    ("replacement-failed", Rejection::FeeTooLow),
    ("insufficient fee", Rejection::FeeTooLow),
    ("min relay fee not met", Rejection::FeeTooLow),
    ("mempool min fee not met", Rejection::FeeTooLow),
    ("mempool full", Rejection::FeeTooLow),
    ("non-final", Rejection::NotFinal),
    ("non-BIP68-final", Rejection::NotFinal),
    ("bad-txns-premature-spend-of-coinbase", Rejection::NotFinal),
    ("tx-size-small", Rejection::Malformed),
    ("tx-size", Rejection::TooHeavy),
    ("package-too-large", Rejection::TooHeavy),
    ("package-", Rejection::Package),
    // Not wrong, but more or other than nodes relay.
    ("bad-txns-too-many-sigops", Rejection::Policy),
    ("bad-txns-nonstandard-inputs", Rejection::Policy),
    ("non-mandatory-script-verify-flag", Rejection::Policy),
    ("bad-txns", Rejection::Invalid),
    ("mempool-script-verify-flag-failed", Rejection::Invalid),
    ("mandatory-script-verify-flag-failed", Rejection::Invalid),
];

/// The class of one of Core's reasons. A reason that is not in the table is a matter of policy:
/// that is where nodes differ and versions add.
pub(crate) fn classify(reason: &str) -> Rejection {
    let begins = |(start, _): &&(&str, Rejection)| reason.starts_with(start);
    let found = REASONS.iter().find(begins);
    found.map_or(Rejection::Policy, |(_, class)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_the_table_is_reached_by_its_own_line() {
        for (reason, class) in REASONS {
            assert_eq!(classify(reason), class, "{reason}");
        }
    }

    #[test]
    fn what_follows_a_reason_does_not_matter() {
        let reason = "mempool-script-verify-flag-failed (Invalid Schnorr signature)";
        assert_eq!(classify(reason), Rejection::Invalid);
        let reason = "insufficient fee (including sibling eviction), rejecting replacement";
        assert_eq!(classify(reason), Rejection::FeeTooLow);
    }

    #[test]
    fn a_reason_that_nobody_listed_is_policy() {
        assert_eq!(classify("dust"), Rejection::Policy);
        assert_eq!(classify("TRUC-violation"), Rejection::Policy);
        assert_eq!(classify(""), Rejection::Policy);
    }
}
