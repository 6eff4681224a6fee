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
        let places = Arc::new(Semaphore::new(max_in_flight.min(Semaphore::MAX_PERMITS)));
        let routes = routes.layer(middleware::from_fn(move |request: Request, next: Next| {
            admit(Arc::clone(&places), request, next)
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

/// Lets a request through while there is a place, and refuses it at once when there is none: a queue
/// would only grow.
async fn admit(places: Arc<Semaphore>, request: Request, next: Next) -> Response {
    match places.try_acquire() {
        Ok(_place) => next.run(request).await,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
