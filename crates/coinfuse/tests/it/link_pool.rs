//! One link per neighbour: shared, dialled once, dialled again, closed when unused.

use crate::support::{Neighbour, black_hole, dialler, loopback, poll_once};
use coinfuse::link::{
    CloseReason, DialError, LinkEndpoint, LinkLease, LinkLimits, LinkPool, LinkSecret,
};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn callers_for_one_neighbour_share_one_link() {
    let mut relay = Neighbour::new(1);
    let pool = LinkPool::new(dialler());
    let callers: Vec<_> = (0..32)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.get(relay.key, &[relay.address]).await.unwrap() })
        })
        .collect();
    let mut leases: Vec<LinkLease> = Vec::new();
    for caller in callers {
        leases.push(caller.await.unwrap());
    }
    leases.push(pool.get(relay.key, &[relay.address]).await.unwrap());

    assert!(
        leases
            .iter()
            .all(|lease| lease.stable_id() == leases[0].stable_id())
    );
    relay.links.recv().await.unwrap();
    assert!(relay.links.try_recv().is_err(), "a second link was dialled");
}

#[tokio::test]
async fn a_failed_dial_is_everybodys_and_is_forgotten() {
    let relay = Neighbour::new(1);
    let wrong = LinkSecret::from_seed([9; 32]).key();
    let pool = LinkPool::new(dialler());
    let addresses = [relay.address];
    let (first, second) = tokio::join!(pool.get(wrong, &addresses), pool.get(wrong, &addresses));
    assert_eq!(first.unwrap_err(), DialError::WrongKey);
    assert_eq!(second.unwrap_err(), DialError::WrongKey);
    // The next caller dials anew, and this time the relay is the right one.
    let right = Neighbour::new(9);
    assert!(pool.get(wrong, &[right.address]).await.is_ok());
}

#[tokio::test]
async fn a_dead_neighbour_delays_nobody_else() {
    let relay = Neighbour::new(1);
    let (_open, dead) = black_hole();
    let pool = LinkPool::new(dialler());
    let dead_key = LinkSecret::from_seed([2; 32]).key();
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get(dead_key, &[dead]).await }
    });
    pool.get(relay.key, &[relay.address]).await.unwrap();
    assert!(!waiting.is_finished());
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_spoil_the_dial_for_others() {
    let relay = Neighbour::new(1);
    let pool = LinkPool::new(dialler());
    let addresses = [relay.address];
    let mut gone = Box::pin(pool.get(relay.key, &addresses));
    assert!(poll_once(gone.as_mut()).await.is_none());
    let other = pool.get(relay.key, &addresses);
    drop(gone);
    assert!(other.await.is_ok());
}

#[tokio::test]
async fn a_lost_link_is_dialled_again() {
    let mut relay = Neighbour::new(1);
    let pool = LinkPool::new(dialler());
    let first = pool.get(relay.key, &[relay.address]).await.unwrap();
    relay
        .links
        .recv()
        .await
        .unwrap()
        .close(CloseReason::Overload);
    first.closed().await;
    let second = pool.get(relay.key, &[relay.address]).await.unwrap();
    assert_ne!(first.stable_id(), second.stable_id());
    assert!(!second.is_closed());
}

#[tokio::test]
async fn an_unused_link_is_closed_after_its_time_and_a_used_one_is_not() {
    let limits = LinkLimits::default();
    let unused = limits.unused_timeout;
    let (one, two) = (Neighbour::new(1), Neighbour::new(2));
    let pool = LinkPool::new(dialler());
    let used = pool.get(one.key, &[one.address]).await.unwrap();
    drop(pool.get(two.key, &[two.address]).await.unwrap());
    assert_eq!(pool.open_links(), 2);

    pool.sweep(Instant::now() + unused - Duration::from_secs(5));
    assert_eq!(pool.open_links(), 2);
    pool.sweep(Instant::now() + unused);
    assert_eq!(pool.open_links(), 1);
    assert!(!used.is_closed());
}

#[tokio::test]
async fn dials_beyond_the_limit_fail_at_once() {
    let mut limits = LinkLimits::default();
    limits.max_dials = 1;
    let pool = LinkPool::new(LinkEndpoint::bind(loopback(), None, limits).unwrap());
    let (_open, dead) = black_hole();
    let [one, two] = [1, 2].map(|seed| LinkSecret::from_seed([seed; 32]).key());
    let (addresses_one, addresses_two) = ([dead], [dead]);
    let mut first = Box::pin(pool.get(one, &addresses_one));
    assert!(poll_once(first.as_mut()).await.is_none());
    assert_eq!(
        pool.get(two, &addresses_two).await.unwrap_err(),
        DialError::Busy
    );
}
