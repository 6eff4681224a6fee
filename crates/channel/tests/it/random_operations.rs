//! Two parties who do anything, and are killed at any time.

use crate::operations::{Operation, play};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn conserve_money_and_never_lower_a_balance(
        operations in prop::collection::vec(any::<[u8; 2]>(), 0..60),
        refund: bool,
    ) {
        // Plan and fund, so that most of what follows has a channel.
        let funded = [Operation::Drive; 2].into_iter();
        play(funded.chain(operations.into_iter().map(Operation::from)), refund);
    }
}
