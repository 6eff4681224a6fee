//! What a client does for its memory in the background.

use super::super::Inner;
use super::transfers::Transfers;
use core::time::Duration;
use std::sync::Weak;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What a transfer is measured by.
const SECOND: Duration = Duration::from_secs(1);
/// In seconds: how often what is new is written down.
const SAVED_EVERY: u32 = 30;

/// Measures transfers, and writes down what was seen, until the client ends.
pub(in crate::client) async fn tend(client: Weak<Inner>, shutdown: CancellationToken) {
    tokio::select! {
        () = measure(&client) => {}
        () = shutdown.cancelled() => {}
    }
}

async fn measure(client: &Weak<Inner>) {
    let mut transfers = Transfers::default();
    let mut before = None;
    let mut saved = 0;
    loop {
        sleep(SECOND).await;
        let Some(client) = client.upgrade() else {
            return;
        };
        let now = client.clock.now();
        let carried = client.circuits.carried();
        if let Some(before) = before.replace(now) {
            for (relay, best) in transfers.second(now.saturating_since(before), carried) {
                client.memory.measured(&relay, best);
            }
        }
        saved += 1;
        if saved == SAVED_EVERY {
            saved = 0;
            client.memory.save().await;
        }
    }
}
