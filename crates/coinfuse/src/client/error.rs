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
    /// The circuit was not built in time.
    #[error("the circuit was not built in time")]
    BuildTimedOut,
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
            | Self::BuildTimedOut => true,
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
            | Self::PaymentRefused { hop, .. } => Some(*hop),
            _ => None,
        }
    }
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
