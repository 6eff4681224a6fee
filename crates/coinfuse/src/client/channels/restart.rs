//! The channels of earlier runs.

use super::account::Live;
use super::reclaim::Waiting;
use super::store::Stored;
use super::{ChannelStage, ChannelStoreError, Channels};
use coinfuse_channel::{Sender, SenderState};

impl Channels {
    /// Takes up every channel where it was written down.
    pub(super) async fn load(&self) -> Result<(), ChannelStoreError> {
        for stored in self.store.load().await? {
            let id = stored.id;
            match Sender::load(&stored.rows) {
                Ok(state) => self.take_up(stored, state).await?,
                // Its rows stay, for somebody who can make more of them.
                Err(error) => tracing::error!(?id, %error, "a payment channel cannot be read"),
            }
        }
        Ok(())
    }

    async fn take_up(&self, stored: Stored, state: SenderState) -> Result<(), ChannelStoreError> {
        let Stored { id, owner, .. } = stored;
        let (params, balance, stage) = match &state {
            SenderState::Planned(planned) => (planned.params(), 0, ChannelStage::Funding),
            SenderState::Open(sender) => {
                let balance = sender.balance().to_u64();
                (sender.params(), balance, ChannelStage::Funded)
            }
            SenderState::Closing(closing) => {
                let balance = closing.update().balance.to_u64();
                (closing.params(), balance, ChannelStage::Closing)
            }
            SenderState::Done(_) => return self.store.erase(id).await,
        };
        self.board.enter(id, &owner, params, balance, stage);
        match state {
            SenderState::Planned(planned) => self.take_back(Waiting::planned(planned, owner)),
            SenderState::Closing(closing) => self.take_back(Waiting::closing(closing, owner)),
            SenderState::Open(sender) => {
                let account = self.account(&owner.account);
                let live = Live::new(sender, owner, true);
                account.slot.lock().await.open.push_back(live);
                self.forget_signed(id).await;
            }
            SenderState::Done(_) => {}
        }
        Ok(())
    }
}
