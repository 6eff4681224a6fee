//! What a client does for its packets in the background.

use super::exchange::up_to;
use super::{AskError, Errand, Inner};
use core::time::Duration;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often lanes are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Refills the stock at random times after it was used, and closes lanes that are not used.
pub(in crate::client) async fn tend(client: Weak<Inner>, shutdown: CancellationToken) {
    let Some((used, within)) = client.upgrade().map(|client| {
        let used = Arc::clone(&client.packets.used);
        (used, client.config.packets.refill_within)
    }) else {
        return;
    };
    tokio::select! {
        () = refill(&client, &used, within) => {}
        // Notices when the client is gone.
        () = sweep(&client) => {}
        () = shutdown.cancelled() => {}
    }
}

async fn sweep(client: &Weak<Inner>) {
    loop {
        sleep(EVERY).await;
        let Some(client) = client.upgrade() else {
            return;
        };
        client.packets.post.sweep(client.config.packets.lane_idle);
    }
}

/// Purchases that come at random times tell nothing of when packets are sent.
async fn refill(client: &Weak<Inner>, used: &Notify, within: Duration) {
    loop {
        used.notified().await;
        sleep(up_to(within)).await;
        let Some(client) = client.upgrade() else {
            return;
        };
        client.refill().await;
    }
}

impl Inner {
    /// Buys what the stock lacks of everything that was wanted so far.
    async fn refill(&self) {
        let stocked: Vec<Errand> = {
            let mut wanted = self.packets.wanted();
            wanted.extend(self.packets.stock().errands());
            wanted.iter().copied().collect()
        };
        for errand in stocked {
            if self.config.packets.level(errand.size) == 0 {
                continue;
            }
            match self.restock(errand).await {
                Ok(()) => {}
                Err(AskError::OutOfMoney | AskError::CapReached) => {
                    tracing::debug!("there is no money for packets to come");
                }
                Err(error) => tracing::debug!(%error, "nothing was bought for packets to come"),
            }
        }
    }
}
