//! Exits that do not open streams.

use coinfuse_delivery::ExitFailure;
use coinfuse_wire::RelayId;
use std::collections::BTreeMap;

/// So many failures without a stream that was opened: anybody is busy now and then.
const IN_A_ROW: u32 = 3;

/// How often exits have failed since they opened a stream.
#[derive(Debug, Default)]
pub(super) struct Exits(BTreeMap<RelayId, u32>);

impl Exits {
    /// An exit did not do what it is there for; true if it is to blame.
    pub(super) fn failed(&mut self, exit: RelayId) -> bool {
        let times = self.0.entry(exit).or_default();
        *times += 1;
        let blamed = *times >= IN_A_ROW;
        if blamed {
            self.0.remove(&exit);
        }
        blamed
    }

    /// An exit opened a stream.
    pub(super) fn opened(&mut self, exit: &RelayId) {
        self.0.remove(exit);
    }
}

/// Whether a failure is the exit's own, whatever the target is.
pub(super) const fn is_its_own(failure: ExitFailure) -> bool {
    matches!(
        failure,
        ExitFailure::Internal
            | ExitFailure::ResolverFailed
            | ExitFailure::CircuitLimit
            | ExitFailure::RelayLimit
    )
}

/// Whether a failure is the exit's if another exit opens the same target.
pub(super) const fn may_be_its_own(failure: ExitFailure) -> bool {
    matches!(
        failure,
        ExitFailure::ConnectTimeout
            | ExitFailure::ResolveTimeout
            | ExitFailure::HostUnreachable
            | ExitFailure::NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_blamed_for_the_third_failure_in_a_row() {
        let (mut exits, exit) = (Exits::default(), RelayId::new([1; 32]));
        let failed = |exits: &mut Exits| exits.failed(exit);
        assert_eq!(
            [(); 4].map(|()| failed(&mut exits)),
            [false, false, true, false]
        );
        exits.opened(&exit);
        assert_eq!([(); 3].map(|()| failed(&mut exits)), [false, false, true]);
    }

    #[test]
    fn what_the_target_or_the_policy_says_is_not_the_exit_s_fault() {
        for failure in [
            ExitFailure::ConnectionRefused,
            ExitFailure::NoSuchName,
            ExitFailure::PolicyRefused,
            ExitFailure::BadTarget,
        ] {
            assert!(
                !is_its_own(failure) && !may_be_its_own(failure),
                "{failure}"
            );
        }
    }
}
