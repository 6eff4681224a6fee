//! How the end of a link is heard: at once, and not after the silence that ends every link.

use crate::network::until;
use crate::support::{Neighbour, PATIENCE, dialler, poll_once};
use coinfuse::link::{CloseReason, Link, LinkEndpoint, LinkLimits, LinkSecret};
use quinn::ConnectionError;
use std::pin::pin;
use std::sync::mpsc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Much less than the silence that ends a link.
const SOON: Duration = Duration::from_secs(5);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// How a dialler's link ends that acknowledges nothing while the relay writes, until its window is
/// full, and `end`s.
async fn heard(end: impl AsyncFnOnce(&Neighbour, Link)) -> ConnectionError {
    let mut relay = Neighbour::new(1);
    let (address, key) = (relay.address, relay.key);
    let (deaf, is_deaf) = oneshot::channel();
    let (wake, woken) = mpsc::channel();
    let peer = spawn_blocking(move || {
        let runtime = runtime();
        let link = runtime.block_on(async { dialler().dial(&[address], key, PATIENCE).await });
        let link = link.unwrap();
        deaf.send(()).unwrap();
        // Nobody runs the runtime meanwhile.
        woken.recv().unwrap();
        runtime.block_on(async { timeout(SOON, link.closed()).await })
    });
    let link = relay.links.recv().await.unwrap();
    is_deaf.await.unwrap();
    let before = link.stats().udp_tx.bytes;
    let (mut send, recv) = link.open_bi().await.unwrap();
    send.write_all(&[0; 100_000]).await.unwrap();
    until("the window to be full", || {
        let stats = link.stats();
        stats.udp_tx.bytes - before >= stats.path.cwnd
    })
    .await;
    drop((send, recv));
    end(&relay, link).await;
    wake.send(()).unwrap();
    peer.await.unwrap().expect("the end was not heard")
}

fn was_closed(error: &ConnectionError, reason: CloseReason) -> bool {
    let code = u64::from(reason.code());
    matches!(error, ConnectionError::ApplicationClosed(close) if close.error_code.into_inner() == code)
}

#[tokio::test]
async fn a_link_that_is_closed_with_its_window_full_says_so() {
    let error = heard(async |_, link| link.close(CloseReason::Overload)).await;
    assert!(was_closed(&error, CloseReason::Overload), "{error}");
}

#[tokio::test]
async fn a_link_that_nobody_has_any_more_says_so_with_its_window_full() {
    let error = heard(async |_, link| drop(link)).await;
    assert!(was_closed(&error, CloseReason::Shutdown), "{error}");
}

#[tokio::test]
async fn an_endpoint_that_is_closed_says_so_on_links_with_full_windows() {
    let error = heard(async |relay, _link| {
        // To its end it takes until the link is forgotten, and answers the peer by a reset.
        let close = relay.endpoint.close(CloseReason::Shutdown);
        assert!(poll_once(pin!(close)).await.is_none());
    })
    .await;
    assert!(was_closed(&error, CloseReason::Shutdown), "{error}");
}

/// A killed process says nothing; the one that comes after it does, with the first packet that is
/// not for it.
#[tokio::test]
async fn a_relay_that_was_killed_ends_its_old_links_when_it_is_back() {
    let (dialled, has_dialled) = mpsc::channel();
    let (tell, told) = oneshot::channel();
    let killed = spawn_blocking(move || {
        let runtime = runtime();
        let mut relay = runtime.block_on(async { Neighbour::new(1) });
        tell.send((relay.address, relay.key)).unwrap();
        let link = runtime.block_on(relay.links.recv()).unwrap();
        // It runs until the dialler has heard all of the handshake.
        runtime.block_on(async {
            until("the dialler", || has_dialled.try_recv().is_ok()).await;
        });
        drop(runtime);
        drop((relay, link));
    });
    let (address, key) = told.await.unwrap();
    let dialler = dialler();
    let link = dialler.dial(&[address], key, PATIENCE).await.unwrap();
    dialled.send(()).unwrap();
    killed.await.unwrap();
    assert!(!link.is_closed());

    let secret = LinkSecret::from_seed([1; 32]);
    let _back = LinkEndpoint::bind(address, Some(&secret), LinkLimits::default()).unwrap();
    let (mut send, _recv) = link.open_bi().await.unwrap();
    send.write_all(b"a packet").await.unwrap();
    let error = timeout(SOON, link.closed()).await;
    let error = error.expect("the end was not heard");
    assert!(matches!(error, ConnectionError::Reset), "{error}");
}
