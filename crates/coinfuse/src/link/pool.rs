//! One link per neighbour, shared by everybody who needs it.

use super::{CloseReason, DialError, Link, LinkEndpoint, LinkKey};
use core::fmt;
use core::ops::Deref;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Links by neighbour. A cheap handle: clones are the same pool.
///
/// * Concurrent callers for one neighbour share one dial, and its failure.
/// * Neighbours do not wait for each other: a dead address delays only those who want it.
/// * A link that is lost is dialled again by the next caller.
/// * A link without leases is closed after [`LinkLimits::unused_timeout`](super::LinkLimits::unused_timeout).
#[derive(Clone)]
pub struct LinkPool {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: LinkEndpoint,
    slots: Mutex<HashMap<LinkKey, Slot>>,
    dials: Arc<Semaphore>,
}

enum Slot {
    Dialling(Dial),
    Up(Arc<Shared>),
}

type Outcome = Result<Arc<Shared>, DialError>;
type Dial = watch::Receiver<Option<Outcome>>;

/// A link and who uses it.
struct Shared {
    link: Link,
    usage: Mutex<Usage>,
}

struct Usage {
    leases: usize,
    unused_since: Instant,
}

impl LinkPool {
    /// An empty pool that dials from `endpoint`. Must be called on a tokio runtime, where a small task
    /// closes unused links until the last handle of the pool is gone.
    pub fn new(endpoint: LinkEndpoint) -> Self {
        let dials = Arc::new(Semaphore::new(endpoint.limits().max_dials));
        let inner = Arc::new(Inner {
            endpoint,
            slots: Mutex::default(),
            dials,
        });
        tokio::spawn(tend(Arc::downgrade(&inner)));
        Self { inner }
    }

    /// The link to the holder of `key`: the open one, or a new one to one of `addresses`, for which it waits.
    ///
    /// Dropping the future does not stop a dial, since others may wait for it.
    ///
    /// # Errors
    ///
    /// [`DialError`], the same for everybody who waited; nothing is remembered of it, the next
    /// caller dials again.
    pub async fn get(
        &self,
        key: LinkKey,
        addresses: &[SocketAddr],
    ) -> Result<LinkLease, DialError> {
        let mut dial = match self.inner.find_or_dial(key, addresses)? {
            Slot::Up(shared) => return Ok(LinkLease::new(shared)),
            Slot::Dialling(dial) => dial,
        };
        let outcome = dial
            .wait_for(Option::is_some)
            .await
            .map_err(|_| DialError::Closing)?;
        let shared = outcome.clone().unwrap_or(Err(DialError::Closing))?;
        Ok(LinkLease::new(shared))
    }

    /// The endpoint from which the pool dials.
    pub fn endpoint(&self) -> &LinkEndpoint {
        &self.inner.endpoint
    }

    /// Links that are open in this pool.
    pub fn open_links(&self) -> usize {
        let is_up = |slot: &&Slot| matches!(slot, Slot::Up(shared) if !shared.link.is_closed());
        self.inner.slots().values().filter(is_up).count()
    }

    /// Closes the links that nobody has used for as long as the limits say, and forgets the lost ones.
    ///
    /// The pool's own task does so all the time.
    pub fn sweep(&self, now: Instant) {
        self.inner.sweep(now);
    }
}

impl Inner {
    fn slots(&self) -> MutexGuard<'_, HashMap<LinkKey, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is for `key`; a dial is begun if there is nothing.
    fn find_or_dial(
        self: &Arc<Self>,
        key: LinkKey,
        addresses: &[SocketAddr],
    ) -> Result<Slot, DialError> {
        let mut slots = self.slots();
        match slots.get(&key) {
            Some(Slot::Dialling(dial)) => return Ok(Slot::Dialling(dial.clone())),
            Some(Slot::Up(shared)) if !shared.link.is_closed() => {
                return Ok(Slot::Up(Arc::clone(shared)));
            }
            _ => {}
        }
        if slots.len() >= self.endpoint.limits().max_links {
            return Err(DialError::Busy);
        }
        let dial = self.begin(key, addresses)?;
        slots.insert(key, Slot::Dialling(dial.clone()));
        Ok(Slot::Dialling(dial))
    }

    fn begin(self: &Arc<Self>, key: LinkKey, addresses: &[SocketAddr]) -> Result<Dial, DialError> {
        let permit = Arc::clone(&self.dials)
            .try_acquire_owned()
            .map_err(|_| DialError::Busy)?;
        let (tell, dial) = watch::channel(None);
        let (inner, addresses) = (Arc::clone(self), addresses.to_vec());
        tokio::spawn(async move {
            let limit = inner.endpoint.limits().handshake_timeout;
            let outcome = inner.endpoint.dial(&addresses, key, limit).await;
            let outcome = outcome.map(|link| Arc::new(Shared::new(link)));
            inner.settle(key, &outcome);
            drop(permit);
            tell.send_replace(Some(outcome));
        });
        Ok(dial)
    }

    fn settle(&self, key: LinkKey, outcome: &Outcome) {
        match outcome {
            Ok(shared) => self.slots().insert(key, Slot::Up(Arc::clone(shared))),
            Err(_) => self.slots().remove(&key),
        };
    }

    fn sweep(&self, now: Instant) {
        let limit = self.endpoint.limits().unused_timeout;
        self.slots().retain(|_, slot| match slot {
            Slot::Dialling(_) => true,
            Slot::Up(shared) if shared.link.is_closed() => false,
            Slot::Up(shared) => {
                let unused = shared.unused_for(now).is_some_and(|time| time >= limit);
                if unused {
                    shared.link.close(CloseReason::Unused);
                }
                !unused
            }
        });
    }
}

async fn tend(pool: Weak<Inner>) {
    let Some(period) = pool
        .upgrade()
        .map(|pool| pool.endpoint.limits().unused_timeout / 4)
    else {
        return;
    };
    let mut ticks = interval(period.max(core::time::Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        pool.sweep(Instant::now());
    }
}

impl Shared {
    fn new(link: Link) -> Self {
        let usage = Usage {
            leases: 0,
            unused_since: Instant::now(),
        };
        Self {
            link,
            usage: Mutex::new(usage),
        }
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unused_for(&self, now: Instant) -> Option<core::time::Duration> {
        let usage = self.usage();
        (usage.leases == 0).then(|| now.saturating_duration_since(usage.unused_since))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.link.close(CloseReason::Unused);
    }
}

/// The right to use a pooled link, which stays open at least as long. Hold it as long as the circuit.
pub struct LinkLease {
    shared: Arc<Shared>,
}

impl LinkLease {
    fn new(shared: Arc<Shared>) -> Self {
        shared.usage().leases += 1;
        Self { shared }
    }
}

impl Clone for LinkLease {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared))
    }
}

impl Drop for LinkLease {
    fn drop(&mut self) {
        let mut usage = self.shared.usage();
        usage.leases -= 1;
        usage.unused_since = Instant::now();
    }
}

impl Deref for LinkLease {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.shared.link
    }
}

impl fmt::Debug for LinkLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LinkLease").field(&self.shared.link).finish()
    }
}

impl fmt::Debug for LinkPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkPool")
            .field("open_links", &self.open_links())
            .finish_non_exhaustive()
    }
}
