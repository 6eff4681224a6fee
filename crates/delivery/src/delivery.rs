//! The one thing that all endings of a circuit have in common.

use crate::{ExitFailure, Target};
use coinfuse_wire::ServiceCode;
use core::future::Future;
use tokio::io::{AsyncRead, AsyncWrite};

/// Something that a circuit can end in: it opens the streams that the client asks for.
///
/// One value serves one circuit, so that limits per circuit have a place. `open` is called for
/// many streams at once and must not let one wait for another; it sets its own time limits, and
/// dropping its future gives the attempt up.
///
/// An [`ExitCircuit`](crate::ExitCircuit) is one. A hidden service, which forwards to an
/// application of its own, has the same shape. What takes one message and gives one answer has
/// not, and will not be forced into it.
pub trait Delivery: Clone + Send + Sync + 'static {
    /// An open stream.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The service code under which a relay publishes this.
    fn service(&self) -> ServiceCode;

    /// Opens a stream to `target`.
    fn open(
        &self,
        target: &Target,
    ) -> impl Future<Output = Result<Self::Stream, ExitFailure>> + Send;
}
