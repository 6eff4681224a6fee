//! Threads for the roles: each node has a runtime of its own, as it would have a process.

use anyhow::{Context, Result};
use std::future::Future;
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// A thread that runs one node until it is dropped.
pub(crate) struct Role {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Role {
    /// Starts a thread, and waits until what `start` makes on it is there.
    pub(crate) async fn spawn<T, F>(
        name: String,
        start: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(Self, T)>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>>,
    {
        let stop = CancellationToken::new();
        let (tell, told) = oneshot::channel();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let Ok(runtime) = runtime else { return };
                runtime.block_on(async {
                    let started = start().await;
                    if tell.send(started).is_ok() {
                        stopped.cancelled().await;
                    }
                });
            })?;
        let started = told
            .await
            .with_context(|| format!("{name} did not start"))??;
        Ok((
            Self {
                stop,
                thread: Some(thread),
            },
            started,
        ))
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
