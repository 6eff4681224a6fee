//! Being dialled: the loop that does not end because a newcomer fails.

use super::{HandshakeGate, Link, LinkEndpoint, Verdict};
use coinfuse_wire::Instant;
use quinn::Incoming;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Why [`LinkEndpoint::serve`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServeEnd {
    /// The token was cancelled.
    Shutdown,
    /// The endpoint was closed, or the runtime on which it was bound is gone.
    EndpointClosed,
}

impl LinkEndpoint {
    /// Accepts links until `shutdown` and hands each to `on_link`, which must not block: it
    /// spawns a task, or closes the link.
    ///
    /// Newcomers pass a [`HandshakeGate`]; those that fail the handshake, or are slow at it, concern nobody
    /// else. Links that were accepted stay open when this ends.
    pub async fn serve(
        &self,
        shutdown: CancellationToken,
        mut on_link: impl FnMut(Link),
    ) -> ServeEnd {
        let epoch = tokio::time::Instant::now();
        let mut gate = HandshakeGate::new(self.limits().handshake_rates, Instant::ZERO);
        let mut handshakes = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return ServeEnd::Shutdown,
                incoming = self.quinn().accept() => {
                    let Some(incoming) = incoming else { return ServeEnd::EndpointClosed };
                    let now = Instant::from_epoch(epoch.elapsed());
                    match self.judge(&mut gate, now, handshakes.len(), &incoming) {
                        Verdict::Accept => {
                            handshakes.spawn(self.clone().handshake(incoming));
                        }
                        // It fails only for an address that is validated, which is never retried.
                        Verdict::Retry => drop(incoming.retry()),
                        Verdict::Refuse => incoming.refuse(),
                    }
                }
                Some(outcome) = handshakes.join_next() => {
                    if let Ok(Some(link)) = outcome {
                        on_link(link);
                    }
                }
            }
        }
    }

    fn judge(
        &self,
        gate: &mut HandshakeGate,
        now: Instant,
        handshakes: usize,
        incoming: &Incoming,
    ) -> Verdict {
        let limits = self.limits();
        if handshakes >= limits.max_handshakes || self.open_links() >= limits.max_links {
            return Verdict::Refuse;
        }
        let address = incoming.remote_address().ip();
        gate.judge(now, address, incoming.remote_address_validated())
    }

    async fn handshake(self, incoming: Incoming) -> Option<Link> {
        let (config, parting) = self.server_config()?;
        let connecting = incoming.accept_with(config).ok()?;
        let limit = self.limits().handshake_timeout;
        let connection = tokio::time::timeout(limit, connecting).await.ok()?.ok()?;
        Some(Link::new(connection, None, parting))
    }
}
