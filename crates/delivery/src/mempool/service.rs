//! What a relay runs.

use super::{Answer, Broadcaster, Rejection, Rpc, Submission};
use coinfuse_wire::ServiceCode;
use core::time::Duration;
use std::sync::Arc;
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
}

impl Mempool {
    /// Works on at most `most` submissions at once, those included that wait for their delay to
    /// end. Each holds its bytes and a few connections.
    pub fn new(way: Way, most: usize) -> Self {
        let places = Semaphore::new(most.min(Semaphore::MAX_PERMITS));
        Self {
            way,
            places: Arc::new(places),
        }
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
        match &self.way {
            Way::Peers(broadcaster) => broadcaster.broadcast(&submission, seed).await,
            Way::Node(rpc) => {
                let answer = rpc.submit(&submission).await;
                answer.unwrap_or_else(|_| Rejection::Unavailable.into())
            }
        }
    }
}
