//! What was carried and paid, as a table or as JSON.

use crate::account::Account;
use crate::download::Download;
use crate::town::Town;
use anyhow::Result;
use coinfuse_wire::{ByteCount, Msat};
use serde::Serialize;

/// What the run showed.
#[derive(Serialize)]
pub(crate) struct Report {
    bytes: u64,
    build_ms: f64,
    channels_ms: Option<f64>,
    first_byte_ms: f64,
    mb_per_s: f64,
    hash_is_right: bool,
    funded_msat: u64,
    spent_msat: u64,
    hops: Vec<Hop>,
}

#[derive(Serialize)]
struct Hop {
    relay: String,
    id: String,
    mint: String,
    price_up_msat_per_mib: u32,
    price_down_msat_per_mib: u32,
    up_bytes: u64,
    down_bytes: u64,
    paid_msat: u64,
    /// The channel that pays: what it can pay in all.
    channel_capacity_msat: u64,
    /// What was paid through channels.
    channel_paid_msat: u64,
    /// In how many payments.
    channel_updates: u64,
    used_msat: u64,
    /// What the relay's ledger says it earned.
    earned_msat: u64,
}

impl Report {
    /// Asks client and relays.
    pub(crate) async fn new(town: &Town, download: &Download) -> Result<Self> {
        let circuits = town.client.circuits();
        let mut hops = Vec::new();
        for hop in circuits
            .first()
            .map(|circuit| circuit.hops.as_slice())
            .unwrap_or_default()
        {
            let relay = town
                .relays
                .iter()
                .find(|relay| relay.node.relay().id() == hop.relay);
            let Some(relay) = relay else { continue };
            let totals = relay.node.relay().settle().await?;
            let issuer = relay
                .node
                .descriptor()?
                .mints
                .iter()
                .any(|mint| mint.issuer);
            hops.push(Hop {
                relay: relay.name.clone(),
                id: hop.relay.to_string(),
                mint: if issuer { "its own" } else { "the mint's" }.into(),
                price_up_msat_per_mib: hop.price.up.msat_per_mib(),
                price_down_msat_per_mib: hop.price.down.msat_per_mib(),
                up_bytes: hop.up.get(),
                down_bytes: hop.down.get(),
                paid_msat: hop.paid.get(),
                channel_capacity_msat: hop.channels.capacity.get(),
                channel_paid_msat: hop.channels.paid.get(),
                channel_updates: hop.channels.updates,
                used_msat: hop.used.get(),
                earned_msat: totals.used.get(),
            });
        }
        Ok(Self {
            bytes: download.size,
            build_ms: millis(download.build),
            channels_ms: download.channels.map(millis),
            first_byte_ms: millis(download.first_byte),
            mb_per_s: download.size as f64 / download.total.as_secs_f64() / 1e6,
            hash_is_right: download.hash_is_right,
            funded_msat: town.funded.get(),
            spent_msat: town.client.spent().get(),
            hops,
        })
    }

    /// Why the run was not what it should be, if it was not.
    pub(crate) fn problem(&self) -> Option<String> {
        if !self.hash_is_right {
            return Some("the body's hash is wrong".into());
        }
        if self.hops.is_empty() {
            return Some("there is no circuit".into());
        }
        let unpaid = self.hops.iter().find(|hop| {
            hop.earned_msat != hop.used_msat || hop.paid_msat < hop.used_msat || hop.used_msat == 0
        })?;
        Some(format!(
            "{} carried for {} msat, was paid {} and counts {}",
            unpaid.relay, unpaid.used_msat, unpaid.paid_msat, unpaid.earned_msat
        ))
    }

    /// Prints it.
    pub(crate) fn print(&self) {
        println!(
            "{:<9} {:<10} {:>11} {:>11} {:>13} {:>10} {:>10} {:>10} {:>21} {:>8}  coins",
            "hop",
            "id",
            "up",
            "down",
            "msat/MiB",
            "paid",
            "used",
            "earned",
            "by channel, of",
            "updates"
        );
        for hop in &self.hops {
            println!(
                "{:<9} {:<10} {:>11} {:>11} {:>13} {:>10} {:>10} {:>10} {:>21} {:>8}  {}",
                hop.relay,
                &hop.id[..8],
                ByteCount::new(hop.up_bytes).to_string(),
                ByteCount::new(hop.down_bytes).to_string(),
                format!(
                    "{} / {}",
                    hop.price_up_msat_per_mib, hop.price_down_msat_per_mib
                ),
                hop.paid_msat,
                hop.used_msat,
                hop.earned_msat,
                format!("{} / {}", hop.channel_paid_msat, hop.channel_capacity_msat),
                hop.channel_updates,
                hop.mint,
            );
        }
        println!(
            "\n{} in {:.1} MB/s; circuit built and paid in {:.1} ms, first byte after {:.1} ms; hash {}",
            ByteCount::new(self.bytes),
            self.mb_per_s,
            self.build_ms,
            self.first_byte_ms,
            if self.hash_is_right { "right" } else { "WRONG" },
        );
        println!(
            "bought ecash for {}, paid relays {}",
            Msat::new(self.funded_msat),
            Msat::new(self.spent_msat)
        );
        match self.channels_ms {
            Some(ms) => {
                println!("channels to all hops funded and open {ms:.1} ms after the circuit")
            }
            None => println!("not every hop had a channel in time"),
        }
    }
}

/// Everything as one JSON object.
pub(crate) fn json(report: &Report, account: &Account) -> Result<String> {
    let mut json = serde_json::to_value(report)?;
    json["account"] = serde_json::to_value(account)?;
    Ok(serde_json::to_string_pretty(&json)?)
}

fn millis(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
