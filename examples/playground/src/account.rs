//! The end of a run: everything is settled, and the money is counted.

use crate::town::Town;
use anyhow::{Context, Result};
use coinfuse::connect::Isolation;
use coinfuse_wire::Msat;
use serde::Serialize;
use std::time::Duration;

/// Where the money is. What was bought must be found again, to the msat.
#[derive(Serialize)]
pub(crate) struct Account {
    bought_msat: u64,
    /// The relays' own coins, after vouchers were redeemed and channels settled.
    earned_msat: u64,
    /// The relays' vouchers that wait to be redeemed: what is worth less than the mint's fee.
    waiting_msat: u64,
    /// The client's, after what was left in channels came back, and what is bought and not yet used.
    remaining_msat: u64,
    /// What the mints kept, by their own books: what they issued less what they owe now.
    mint_fees_msat: u64,
    settled: Vec<Settled>,
}

#[derive(Serialize)]
struct Settled {
    relay: String,
    channels: u64,
    updates: u64,
    paid_msat: u64,
    received_msat: u64,
    fees_msat: u64,
}

impl Account {
    /// Ends all circuits, settles, redeems, takes back, and counts.
    pub(crate) async fn close(town: &Town) -> Result<Self> {
        town.client.close_circuits(Isolation::NONE);
        while !town.client.circuits().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (mut earned, mut waiting, mut settled) = (Msat::ZERO, Msat::ZERO, Vec::new());
        for relay in &town.relays {
            relay.treasury.settle_now(true).await?;
            relay.treasury.redeem_now().await?;
            let earnings = relay.treasury.earnings().await?;
            let coins: Msat = earnings.coins.values().copied().sum();
            earned = earned.saturating_add(coins);
            waiting = waiting.saturating_add(earnings.waiting());
            let totals = relay.node.relay().ledger().totals()?.channels;
            settled.push(Settled {
                relay: relay.name.clone(),
                channels: totals.closed,
                updates: totals.updates,
                paid_msat: totals.paid.get(),
                received_msat: totals.settled.get(),
                fees_msat: totals.fees.get(),
            });
        }
        town.client.reclaim().await;
        let purse = town.client.purse();
        let remaining: Msat = purse.balances().await.into_values().sum();
        let in_channels: Msat = town
            .client
            .channels()
            .iter()
            .map(|channel| channel.locked)
            .sum();
        let in_vouchers = purse.locked().await;
        let remaining = remaining
            .saturating_add(in_channels)
            .saturating_add(in_vouchers);
        Ok(Self {
            bought_msat: town.funded.get(),
            earned_msat: earned.get(),
            waiting_msat: waiting.get(),
            remaining_msat: remaining.get(),
            mint_fees_msat: fees(town).await?.get(),
            settled,
        })
    }

    /// Why the count is not right, if it is not.
    pub(crate) fn problem(&self) -> Option<String> {
        let relays = self.earned_msat + self.waiting_msat;
        let found = relays + self.remaining_msat + self.mint_fees_msat;
        (found != self.bought_msat).then(|| {
            format!(
                "{} msat were bought and {found} are there",
                self.bought_msat
            )
        })
    }

    /// Prints it.
    pub(crate) fn print(&self) {
        let settled = || self.settled.iter().filter(|relay| relay.channels > 0);
        if settled().next().is_some() {
            println!("\nsettled   channels  updates      paid  received  fees, msat");
        }
        for relay in settled() {
            println!(
                "{:<9} {:>8} {:>8} {:>9} {:>9} {:>5}",
                relay.relay,
                relay.channels,
                relay.updates,
                relay.paid_msat,
                relay.received_msat,
                relay.fees_msat
            );
        }
        println!(
            "bought {} = earned {} + remaining {} + mint fees {} msat: {}",
            self.bought_msat,
            self.earned_msat + self.waiting_msat,
            self.remaining_msat,
            self.mint_fees_msat,
            if self.problem().is_none() {
                "right"
            } else {
                "WRONG"
            },
        );
    }
}

/// What all mints together took in by Lightning and do not owe to anybody.
async fn fees(town: &Town) -> Result<Msat> {
    let mut owed = Msat::ZERO;
    for mint in &town.mints {
        let totals = mint.totals().await?;
        let outstanding = totals
            .outstanding()
            .context("a mint owes less than nothing")?;
        owed = owed.saturating_add(outstanding);
    }
    Ok(town.funded.saturating_sub(owed))
}
