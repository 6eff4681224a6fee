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
            | Self::BadDescriptor(_)
            | Self::NoCommonMint(_)
            | Self::BuildTimedOut
            | Self::Silent(_) => true,
            Self::Exit(failure) => failure.is_worth_another_exit(),
            _ => false,
        }
    }

    /// The hop that is to be left out of the next path, as far as that can be told.
    pub(super) fn culprit(&self) -> Option<HopIndex> {
        let first = HopIndex::default();
        match self {
            Self::Link { .. } | Self::FirstHop(_) => Some(first),
            Self::Circuit(
                ClientCircuitError::Session { hop, .. }
                | ClientCircuitError::Extend { hop, .. }
                | ClientCircuitError::TooExpensive { hop, .. }
                | ClientCircuitError::Quote { hop, .. }
                | ClientCircuitError::Message { hop, .. }
                | ClientCircuitError::Meter { hop, .. },
            )
            | Self::Closed(hop, _)
            | Self::PaymentRefused { hop, .. }
            | Self::Silent(hop) => Some(*hop),
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

    /// Whom it counts against in the client's history: those who did not do what they were asked for,
    /// as far as that can be told. It is not known whether a hop lies about the next one.
    pub(super) fn suspects(&self) -> Vec<HopIndex> {
        let before = |hop: &HopIndex| hop.get().checked_sub(1).and_then(HopIndex::new);
        let after = |hop: &HopIndex| HopIndex::new(hop.get() + 1);
        let suspect = match self {
            Self::Link { error, .. } if is_ours(*error) => None,
            Self::CircuitLost => Some(HopIndex::default()),
            Self::Circuit(ClientCircuitError::Extend { hop, reason }) => match reason {
                ExtendRefusal::NotOffered | ExtendRefusal::AlreadyExtended => before(hop),
                _ => Some(*hop),
            },
            Self::Closed(hop, reason) => match reason {
                CloseReason::NextHopLost => after(hop),
                CloseReason::Overload | CloseReason::Protocol | CloseReason::MeterMismatch => {
                    Some(*hop)
                }
                _ => None,
            },
            // The hop before it should have noticed that it is silent.
            Self::Silent(hop) => return before(hop).into_iter().chain([*hop]).collect(),
            other => other.culprit(),
        };
        suspect.into_iter().collect()
    }
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

    fn extend(reason: ExtendRefusal) -> ClientError {
        ClientError::Circuit(ClientCircuitError::Extend {
            hop: hop(2),
            reason,
        })
    }

    fn link(error: DialError) -> ClientError {
        let relay = RelayId::new([1; 32]);
        ClientError::Link { relay, error }
    }

    #[test]
    fn it_counts_against_the_hop_that_did_not_do_its_part() {
        for (error, suspects) in [
            (link(DialError::Timeout), vec![0]),
            (ClientError::CircuitLost, vec![0]),
            (extend(ExtendRefusal::Unreachable), vec![2]),
            (extend(ExtendRefusal::NotOffered), vec![1]),
            (
                ClientError::Closed(hop(1), CloseReason::NextHopLost),
                vec![2],
            ),
            (ClientError::Closed(hop(1), CloseReason::Overload), vec![1]),
            (ClientError::Silent(hop(0)), vec![0]),
            (ClientError::Silent(hop(2)), vec![1, 2]),
        ] {
            let told: Vec<_> = error.suspects().iter().map(|hop| hop.get()).collect();
            assert_eq!(told, suspects, "{error}");
        }
    }

    #[test]
    fn an_orderly_end_and_our_own_trouble_count_against_nobody() {
        for error in [
            link(DialError::Busy),
            ClientError::Closed(hop(1), CloseReason::Leaving),
            ClientError::Closed(hop(1), CloseReason::Lifetime),
            ClientError::Closed(hop(1), CloseReason::Unpaid),
            ClientError::BuildTimedOut,
            ClientError::OutOfMoney,
        ] {
            assert_eq!(error.suspects(), [], "{error}");
        }
    }
}
