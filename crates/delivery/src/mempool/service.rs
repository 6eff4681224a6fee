//! What a relay runs.

use super::{Answer, Broadcaster, Rejection, Rpc, RpcError, Submission};
use coinfuse_wire::ServiceCode;
use core::time::Duration;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// How transactions get to the Bitcoin network.
#[derive(Clone)]
pub enum Way {
    /// By the P2P protocol, to peers.
    Peers(Broadcaster),
    /// By JSON-RPC, to a node of the relay's.
    Node(Rpc),
}

/// Why a submission could not be handed to anybody, which is not the sender's fault and says
/// nothing of it. The relay's operator must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Trouble {
    /// No peer could be reached, or none of them speaks as it was wanted.
    #[error("none of the peers could be reached, or speaks the protocol")]
    NoPeer,
    /// The node does not do what it is asked.
    #[error(transparent)]
    Node(#[from] RpcError),
}

/// Takes submissions and gives answers. Clones share the limit.
///
/// ```no_run
/// use coinfuse_delivery::mempool::{Broadcaster, Mempool, Network, PeerConfig, Way};
/// use core::time::Duration;
///
/// # async fn serve(request: &[u8], delay: Duration, seed: [u8; 32]) {
/// let peers = PeerConfig::new(vec!["192.0.2.1:8333".parse().unwrap()]);
/// let way = Way::Peers(Broadcaster::new(Network::Mainnet, peers));
/// let mempool = Mempool::new(way, 64);
/// let answer = mempool.deliver(request, delay, seed).await;
/// # }
/// ```
#[derive(Clone)]
pub struct Mempool {
    way: Way,
    places: Arc<Semaphore>,
    tell: Arc<dyn Fn(Trouble) + Send + Sync>,
}

impl Mempool {
    /// Works on at most `most` submissions at once, those included that wait for their delay to
    /// end. Each holds its bytes and a few connections.
    pub fn new(way: Way, most: usize) -> Self {
        let places = Semaphore::new(most.min(Semaphore::MAX_PERMITS));
        Self {
            way,
            places: Arc::new(places),
            tell: Arc::new(|_| {}),
        }
    }

    /// Tells somebody each time that nothing could be handed over: senders are only told to try
    /// another relay.
    pub fn on_trouble(mut self, tell: impl Fn(Trouble) + Send + Sync + 'static) -> Self {
        self.tell = Arc::new(tell);
        self
    }

    /// The service code under which a relay publishes this.
    pub fn service(&self) -> ServiceCode {
        ServiceCode::MEMPOOL
    }

    /// Reads a submission, waits for `delay`, hands it over, and says what became of it.
    ///
    /// What cannot be a submission is refused at once, before the delay. `seed` must be random and
    /// used for nothing else.
    pub async fn deliver(&self, request: &[u8], delay: Duration, seed: [u8; 32]) -> Answer {
        let Ok(_place) = self.places.try_acquire() else {
            return Rejection::Busy.into();
        };
        let submission = match Submission::decode(request) {
            Ok(submission) => submission,
            Err(error) => return error.class().into(),
        };
        sleep(delay).await;
        self.hand_over(&submission, seed)
            .await
            .unwrap_or_else(|trouble| {
                (self.tell)(trouble);
                Rejection::Unavailable.into()
            })
    }

    async fn hand_over(&self, submission: &Submission, seed: [u8; 32]) -> Result<Answer, Trouble> {
        match &self.way {
            Way::Peers(broadcaster) => match broadcaster.broadcast(submission, seed).await {
                Answer::Rejected(Rejection::Unavailable) => Err(Trouble::NoPeer),
                answer => Ok(answer),
            },
            Way::Node(rpc) => Ok(rpc.submit(submission).await?),
        }
    }
}
