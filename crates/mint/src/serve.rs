//! The HTTP server around a mint.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

use crate::cut::CuttableListener;

/// How long open requests may run on after the order to stop.
const GRACE: Duration = Duration::from_millis(500);

/// What the mint answers with signatures, without waiting for anybody else: a melt waits for Lightning.
const SIGNING: [&str; 2] = ["/v1/swap", "/v1/mint/bolt11"];

/// A running server. Dropping it stops it at once.
pub(crate) struct Server {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    /// Dropping it cuts every connection. The server itself would let WebSockets live on.
    _cut: watch::Sender<()>,
}

impl Server {
    pub(crate) fn start(listener: TcpListener, routes: Router, max_in_flight: usize) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (cut, knife) = watch::channel(());
        let listener = CuttableListener::new(listener, knife);
        let gate = Arc::new(Gate {
            places: Semaphore::new(max_in_flight.min(Semaphore::MAX_PERMITS)),
            signing: Semaphore::new(1),
        });
        let routes = routes.layer(middleware::from_fn(move |request: Request, next: Next| {
            admit(Arc::clone(&gate), request, next)
        }));
        let task = tokio::spawn(async move {
            let serving = axum::serve(listener, routes).with_graceful_shutdown(async {
                let _ = stopped.await;
            });
            if let Err(error) = serving.await {
                tracing::error!(%error, "the mint's HTTP server ended");
            }
        });
        Self {
            stop: Some(stop),
            task,
            _cut: cut,
        }
    }

    /// Takes no new connections, lets open requests finish for half a second, and ends.
    pub(crate) async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
            let _ = (&mut self.task).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Who comes in, and who waits for whom.
struct Gate {
    places: Semaphore,
    /// Requests that the mint answers with signatures write for as long as they run. The database
    /// has one writer at a time, and makes the others wait by blocking their threads: so they wait
    /// here.
    signing: Semaphore,
}

/// Lets a request through while there is a place, and refuses it at once when there is none: a queue
/// would only grow.
async fn admit(gate: Arc<Gate>, request: Request, next: Next) -> Response {
    let Ok(_place) = gate.places.try_acquire() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let _turn = match SIGNING.contains(&request.uri().path()) {
        // An error would be a closed semaphore, which this one never is.
        true => gate.signing.acquire().await.ok(),
        false => None,
    };
    next.run(request).await
}
