//! How the end of a link is heard: at once, and not after the silence that ends every link.

use crate::network::until;
use crate::support::{Neighbour, PATIENCE, dialler, poll_once};
use coinfuse::link::{CloseReason, Link};
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
