//! Why a question has no answer.

use crate::client::ClientError;
use crate::link::DialError;
use coinfuse_directory::SelectError;
use coinfuse_onion::ServiceRefusal;
use coinfuse_wire::RelayId;
use thiserror::Error;

/// Why a question has no answer, and who must act.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum AskError {
    /// The directory has no path there or back: learn of more relays, or relax the constraints.
    #[error(transparent)]
    NoPath(#[from] SelectError),
    /// The message fits no packet: send a shorter one.
    #[error("a message may have {max} bytes at most")]
    TooLong {
        /// The longest message that fits.
        max: usize,
    },
    /// As many answers are waited for as may be: wait.
    #[error("too many answers are waited for")]
    TooMany,
    /// The purse is empty: fund it.
    #[error("the purse is empty: fund it")]
    OutOfMoney,
    /// The spending cap is reached: raise it.
    #[error("the spending cap is reached: raise it to go on")]
    CapReached,
    /// The vouchers could not be had for another reason.
    #[error(transparent)]
    Payment(ClientError),
    /// The first relay cannot be reached. Nothing was sent.
    #[error("no link to {relay:?}: {error}")]
    Link {
        /// This relay.
        relay: RelayId,
        /// Why.
        error: DialError,
    },
    /// The link to the first relay went away; whether the packet arrived is not known.
    #[error("the link went away before the answer came")]
    LinkLost,
    /// No answer came in time; whether the packet arrived is not known. Its vouchers come back
    /// after their locktime if no relay has taken them.
    #[error("no answer came in time")]
    NoAnswer,
    /// The relay did not ask its service.
    #[error(transparent)]
    Refused(#[from] ServiceRefusal),
    /// Somebody else has used vouchers of this purse: one client at a time.
    #[error("another client uses the same purse")]
    PurseShared,
    /// The client was shut down.
    #[error("the client was shut down")]
    Stopped,
    /// The answer makes no sense; its relay is at fault.
    #[error("the answer makes no sense")]
    BadAnswer,
}

impl From<ClientError> for AskError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::OutOfMoney => Self::OutOfMoney,
            ClientError::CapReached => Self::CapReached,
            ClientError::NoPath(error) => Self::NoPath(error),
            other => Self::Payment(other),
        }
    }
}

impl AskError {
    /// Whether another path may do better, and the service is known not to have been asked.
    pub(super) const fn was_not_served(&self) -> bool {
        matches!(
            self,
            Self::Link { .. }
                | Self::Payment(ClientError::BadDescriptor(_) | ClientError::NoCommonMint(_))
                | Self::Refused(ServiceRefusal::NotOffered | ServiceRefusal::Busy)
        )
    }

    /// Whether another path may do better; the service may have been asked.
    pub(super) const fn is_worth_another_path(&self) -> bool {
        self.was_not_served() || matches!(self, Self::LinkLost | Self::NoAnswer | Self::BadAnswer)
    }
}
