//! Why a peer is left.

use thiserror::Error;

/// Why a peer is left before it did what it was asked for. Nobody need act: another peer is
/// tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum PeerFailure {
    /// No connection, or it broke.
    #[error("no connection, or it broke")]
    Disconnected,
    /// It did not finish its greeting in time.
    #[error("no complete greeting in time")]
    HandshakeTimeout,
    /// It asked for a transaction and did not answer the ping after it in time.
    #[error("the transaction was handed over, and no pong came in time")]
    Stalled,
    /// Bytes that belong to another network or another protocol.
    #[error("not this network's protocol")]
    OtherProtocol,
    /// A message that does not parse, or whose checksum or tag is wrong.
    #[error("a message that does not parse")]
    Malformed,
    /// A message longer than what is listened to.
    #[error("a message that is too long")]
    TooLong,
    /// A message that has no place where it came.
    #[error("a message out of order")]
    OutOfOrder,
    /// More messages or bytes than anybody needs for this.
    #[error("too much talk")]
    Flood,
    /// It speaks a version of the protocol that is too old.
    #[error("its version of the protocol is too old")]
    TooOld,
    /// It takes no transactions, or would drop their witnesses.
    #[error("it takes no transactions")]
    NoRelay,
}
