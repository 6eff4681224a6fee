//! Why a client could not do what it was asked to.

use super::channels::ChannelStoreError;
use crate::connect::ConnectError;
use crate::link::{BindError, DialError};
use coinfuse_circuit::{ClientCircuitError, CloseReason, ExtendRefusal};
use coinfuse_delivery::ExitFailure;
use coinfuse_directory::SelectError;
use coinfuse_voucher::{PurseError, Refusal};
use coinfuse_wire::{HopIndex, RelayId};
use std::sync::Arc;
use thiserror::Error;

/// Why there is no circuit or no stream, and who must act.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// This machine does not give us a socket.
    #[error(transparent)]
    Bind(Arc<BindError>),
    /// The directory has no path: learn of more relays, or relax the constraints.
    #[error(transparent)]
    NoPath(#[from] SelectError),
    /// The first relay cannot be reached.
    #[error("no link to {relay:?}: {error}")]
    Link {
        /// This relay.
        relay: RelayId,
        /// Why.
        error: DialError,
    },
    /// The first relay does not make a circuit.
    #[error("the first hop makes no circuit: {0}")]
    FirstHop(ExtendRefusal),
    /// A hop is at fault.
    #[error(transparent)]
    Circuit(#[from] ClientCircuitError),
    /// A hop closed the circuit.
    #[error("{0} closed the circuit: {1}")]
    Closed(HopIndex, CloseReason),
    /// A hop does not take our vouchers. They stay in the purse, and the relay is left alone for a
    /// while.
    #[error("{hop} does not take the payment: {reason}")]
    PaymentRefused {
        /// This hop.
        hop: HopIndex,
        /// Why the first of the vouchers was refused.
        reason: Refusal,
    },
    /// The circuit went away.
    #[error("the circuit was lost")]
    CircuitLost,
    /// The last hop ended the streams of the circuit and no hop says why.
    #[error("{0} ended the streams and does not say why")]
    StreamsEnded(HopIndex),
    /// The last hop does not answer on a circuit that stands and is paid; any hop may be the reason.
    #[error("the circuit is paid and carries nothing")]
    Stalled,
    /// The circuit was not built in time, and no hop is known to be the reason.
    #[error("the circuit was not built in time")]
    BuildTimedOut,
    /// A hop did not answer before the time for the circuit was over.
    #[error("{0} does not answer")]
    Silent(HopIndex),
    /// A descriptor holds keys that are none; its relay is at fault.
    #[error("the descriptor of {0:?} cannot be used")]
    BadDescriptor(RelayId),
    /// The purse has no mint that the relay accepts: add one to the configuration.
    #[error("no mint of this purse is accepted by {0:?}")]
    NoCommonMint(RelayId),
    /// The purse is empty: fund it.
    #[error("the purse is empty: fund it")]
    OutOfMoney,
    /// The spending cap is reached: raise it.
    #[error("the spending cap is reached: raise it to go on")]
    CapReached,
    /// The purse failed.
    #[error(transparent)]
    Purse(Arc<PurseError>),
    /// The file of the payment channels cannot be used: see to the disk.
    #[error(transparent)]
    Channels(#[from] ChannelStoreError),
    /// The exit did not open the stream.
    #[error(transparent)]
    Exit(#[from] ExitFailure),
}

impl From<BindError> for ClientError {
    fn from(error: BindError) -> Self {
        Self::Bind(Arc::new(error))
    }
}

impl ClientError {
    /// Whether another path may do better.
    pub(super) fn is_worth_another_path(&self) -> bool {
        match self {
            Self::Link { .. }
            | Self::FirstHop(_)
            | Self::Circuit(_)
            | Self::Closed(..)
            | Self::PaymentRefused { .. }
            | Self::CircuitLost
            | Self::StreamsEnded(_)
            | Self::Stalled
            | Self::BadDescriptor(_)
            | Self::NoCommonMint(_)
            | Self::BuildTimedOut
            | Self::Silent(_) => true,
            Self::Exit(failure) => failure.is_worth_another_exit(),
            _ => false,
        }
    }

    /// The relay that is to be left out of the next path, as far as that can be told.
    pub(super) fn culprit(&self, at: impl Fn(HopIndex) -> Option<RelayId>) -> Option<RelayId> {
        match self {
            Self::Link { relay, .. } | Self::BadDescriptor(relay) | Self::NoCommonMint(relay) => {
                Some(*relay)
            }
            Self::FirstHop(_) => at(HopIndex::default()),
            Self::Circuit(
                ClientCircuitError::Session { hop, .. }
                | ClientCircuitError::Extend { hop, .. }
                | ClientCircuitError::TooExpensive { hop, .. }
                | ClientCircuitError::Quote { hop, .. }
                | ClientCircuitError::Message { hop, .. }
                | ClientCircuitError::Meter { hop, .. },
            )
            | Self::PaymentRefused { hop, .. }
            | Self::StreamsEnded(hop)
            | Self::Silent(hop) => at(*hop),
            Self::Closed(hop, CloseReason::NextHopLost) => after(*hop).and_then(at),
            Self::Closed(hop, _) => at(*hop),
            _ => None,
        }
    }

    /// Whether the first relay could not be reached, or the link to it was lost.
    pub(super) const fn is_loss(&self) -> bool {
        matches!(
            self,
            Self::Link { .. } | Self::FirstHop(ExtendRefusal::Unreachable) | Self::CircuitLost
        )
    }

    /// Whether something was lost on a circuit that stood, and every hop may be the reason.
    pub(super) const fn is_loss_on_the_way(&self) -> bool {
        matches!(self, Self::StreamsEnded(_) | Self::Stalled)
    }

    /// Whom it counts against in the client's history: those who did not do what they were asked for,
    /// as far as that can be told. It is not known whether a hop lies about the next one.
    ///
    /// `too_soon` says that a hop that closed the circuit had no reason to: it was just built, and
    /// paid for.
    pub(super) fn suspects(
        &self,
        too_soon: bool,
        at: impl Fn(HopIndex) -> Option<RelayId>,
    ) -> Vec<RelayId> {
        let one = match self {
            Self::Link { error, .. } if is_ours(*error) => None,
            Self::CircuitLost => at(HopIndex::default()),
            Self::Circuit(ClientCircuitError::Extend {
                hop,
                reason: ExtendRefusal::NotOffered | ExtendRefusal::AlreadyExtended,
            }) => before(*hop).and_then(at),
            Self::Closed(hop, reason) => match reason {
                CloseReason::NextHopLost => after(*hop).and_then(at),
                CloseReason::Overload | CloseReason::Protocol | CloseReason::MeterMismatch => {
                    at(*hop)
                }
                // Those are for this client to answer for.
                CloseReason::AccountMoved | CloseReason::Overrun => None,
                _ if too_soon => at(*hop),
                _ => None,
            },
            // The hop before it should have noticed that it is silent.
            Self::Silent(hop) => {
                let both = before(*hop).into_iter().chain([*hop]);
                return both.filter_map(at).collect();
            }
            other => other.culprit(at),
        };
        one.into_iter().collect()
    }
}

fn before(hop: HopIndex) -> Option<HopIndex> {
    hop.get().checked_sub(1).and_then(HopIndex::new)
}

fn after(hop: HopIndex) -> Option<HopIndex> {
    HopIndex::new(hop.get() + 1)
}

/// Whether a dial failed at this machine.
pub(super) const fn is_ours(error: DialError) -> bool {
    matches!(error, DialError::Busy | DialError::Closing)
}

impl From<&ClientError> for ConnectError {
    fn from(error: &ClientError) -> Self {
        match error {
            ClientError::OutOfMoney | ClientError::CapReached => Self::OutOfMoney,
            ClientError::Exit(failure) => match failure {
                ExitFailure::PolicyRefused => Self::Policy,
                ExitFailure::ConnectionRefused => Self::Refused,
                ExitFailure::ConnectTimeout | ExitFailure::ResolveTimeout => Self::TimedOut,
                ExitFailure::NoSuchName | ExitFailure::HostUnreachable => Self::HostUnreachable,
                ExitFailure::NetworkUnreachable => Self::NetworkUnreachable,
                _ => Self::Failed,
            },
            ClientError::NoPath(_) | ClientError::Link { .. } | ClientError::FirstHop(_) => {
                Self::NetworkUnreachable
            }
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(number: usize) -> HopIndex {
        HopIndex::new(number).unwrap()
    }

    /// The relay at a hop of a path of four.
    fn at(hop: HopIndex) -> Option<RelayId> {
        (hop.get() < 4).then(|| relay(hop.get() as u8))
    }

    fn relay(number: u8) -> RelayId {
        RelayId::new([number; 32])
    }

    fn extend(reason: ExtendRefusal) -> ClientError {
        ClientError::Circuit(ClientCircuitError::Extend {
            hop: hop(2),
            reason,
        })
    }

    fn link(error: DialError) -> ClientError {
        let relay = relay(0);
        ClientError::Link { relay, error }
    }

    fn closed(reason: CloseReason) -> ClientError {
        ClientError::Closed(hop(1), reason)
    }

    fn suspects(error: &ClientError, too_soon: bool) -> Vec<u8> {
        let suspects = error.suspects(too_soon, at);
        suspects.iter().map(|relay| relay.as_bytes()[0]).collect()
    }

    #[test]
    fn it_counts_against_the_hop_that_did_not_do_its_part() {
        for (error, expected) in [
            (link(DialError::Timeout), vec![0]),
            (ClientError::CircuitLost, vec![0]),
            (ClientError::BadDescriptor(relay(0)), vec![0]),
            (ClientError::NoCommonMint(relay(2)), vec![2]),
            (extend(ExtendRefusal::Unreachable), vec![2]),
            (extend(ExtendRefusal::NotOffered), vec![1]),
            (closed(CloseReason::NextHopLost), vec![2]),
            (closed(CloseReason::Overload), vec![1]),
            (ClientError::StreamsEnded(hop(3)), vec![3]),
            (ClientError::Silent(hop(0)), vec![0]),
            (ClientError::Silent(hop(2)), vec![1, 2]),
        ] {
            assert_eq!(suspects(&error, false), expected, "{error}");
        }
    }

    #[test]
    fn an_orderly_end_and_our_own_trouble_count_against_nobody() {
        for error in [
            link(DialError::Busy),
            closed(CloseReason::Leaving),
            closed(CloseReason::Lifetime),
            closed(CloseReason::Unpaid),
            ClientError::BuildTimedOut,
            ClientError::OutOfMoney,
            ClientError::Exit(ExitFailure::ConnectionRefused),
        ] {
            assert_eq!(suspects(&error, false), [0; 0], "{error}");
        }
    }

    #[test]
    fn an_orderly_end_too_soon_counts_unless_it_is_our_own_doing() {
        for reason in [
            CloseReason::Leaving,
            CloseReason::Lifetime,
            CloseReason::Done,
            CloseReason::Idle,
            CloseReason::Unpaid,
        ] {
            assert_eq!(suspects(&closed(reason), true), [1], "{reason}");
        }
        for reason in [CloseReason::AccountMoved, CloseReason::Overrun] {
            assert_eq!(suspects(&closed(reason), true), [0; 0], "{reason}");
        }
    }

    #[test]
    fn the_next_path_is_without_whoever_was_in_the_way_of_this_one() {
        for (error, culprit) in [
            (ClientError::BadDescriptor(relay(0)), Some(0)),
            (ClientError::NoCommonMint(relay(1)), Some(1)),
            (ClientError::CircuitLost, None),
            (closed(CloseReason::NextHopLost), Some(2)),
            (closed(CloseReason::Leaving), Some(1)),
            (ClientError::Silent(hop(2)), Some(2)),
            (ClientError::BuildTimedOut, None),
        ] {
            let told = error.culprit(at).map(|relay| relay.as_bytes()[0]);
            assert_eq!(told, culprit, "{error}");
        }
    }
}
