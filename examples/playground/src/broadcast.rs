//! Transactions broadcast by packets.

use crate::account::Account;
use crate::bitcoin::Bitcoin;
use crate::download::now;
use crate::town::{Plan, Relay, Town};
use crate::{packet_table, wallet};
use anyhow::{Result, bail};
use bitcoin::consensus::serialize;
use coinfuse::relay::PacketStats;
use coinfuse_delivery::mempool::{Answer, Submission};
use coinfuse_wire::{Msat, ServiceCode};
use serde::Serialize;
use std::time::Duration;

/// All that was seen.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) bitcoin: &'static str,
    pub(crate) stock: Stock,
    pub(crate) rounds: Vec<Round>,
    /// What the client says it has paid in all.
    pub(crate) spent_msat: u64,
    /// What the relays' ledgers say they were paid in all.
    pub(crate) ledgers_msat: u64,
}

/// What was bought before the first packet.
#[derive(Serialize)]
pub(crate) struct Stock {
    pub(crate) journeys: usize,
    pub(crate) msat: u64,
    pub(crate) ms: f64,
}

/// One transaction.
#[derive(Serialize)]
pub(crate) struct Round {
    /// How the relay handed it to the Bitcoin network.
    pub(crate) way: &'static str,
    pub(crate) txid: String,
    /// What the relay answered.
    pub(crate) answer: String,
    pub(crate) accepted: bool,
    /// From sending the packet to the answer.
    pub(crate) ms: f64,
    pub(crate) spent_msat: u64,
    /// The relays that had a packet of it.
    pub(crate) hops: Vec<Hop>,
    /// In how many mempools it is.
    pub(crate) nodes_with_it: usize,
    pub(crate) nodes: usize,
}

/// What one relay did, by its own counters and its own ledger.
#[derive(Serialize)]
pub(crate) struct Hop {
    pub(crate) relay: String,
    pub(crate) id: String,
    /// Packets: to other relays, to the client, and asked of the mempool.
    pub(crate) forwarded: u64,
    pub(crate) delivered: u64,
    pub(crate) served: u64,
    pub(crate) vouchers: u64,
    pub(crate) paid_msat: u64,
}

/// Runs the town, and keeps it up unless this is only for once.
pub(crate) async fn run(once: bool, json: bool) -> Result<()> {
    let mut bitcoin = Bitcoin::start().await?;
    let ways = bitcoin.ways();
    let mempools = ways.iter().map(|(_, config)| config.clone()).collect();
    let town = Town::start(Plan::packets(mempools)).await?;
    let stock = Stock::buy(&town).await?;
    let mut rounds = Vec::new();
    for (place, (way, _)) in ways.into_iter().enumerate() {
        leave_one_mempool(&town, place);
        rounds.push(Round::run(&town, &mut bitcoin, way).await?);
    }
    let report = Report {
        bitcoin: bitcoin.name(),
        stock,
        rounds,
        spent_msat: town.client.spent().get(),
        ledgers_msat: ledgers(&town)?.get(),
    };
    let account = Account::close(&town).await?;
    match json {
        true => println!("{}", packet_table::json(&report, &account)?),
        false => packet_table::print(&report, &account),
    }
    if !once {
        stay(&town, &mut bitcoin).await?;
    }
    town.stop().await;
    match report.problem().or(account.problem()) {
        Some(problem) => bail!(problem),
        None => Ok(()),
    }
}

/// The client knows all relays but the other ones with a mempool.
fn leave_one_mempool(town: &Town, place: usize) {
    let mut directory = town.directory.clone();
    let others = mempools(town).enumerate().filter(|(i, _)| *i != place);
    for (_, relay) in others {
        directory.remove(&relay.node.relay().id());
    }
    town.client.set_directory(directory);
}

fn mempools(town: &Town) -> impl Iterator<Item = &Relay> {
    let offers = |relay: &&Relay| {
        let descriptor = town.directory.get(&relay.node.relay().id());
        descriptor.is_some_and(|descriptor| descriptor.offers(ServiceCode::MEMPOOL))
    };
    town.relays.iter().filter(offers)
}

impl Stock {
    async fn buy(town: &Town) -> Result<Self> {
        leave_one_mempool(town, 0);
        let begun = now();
        town.client.stock_up(ServiceCode::MEMPOOL).await?;
        let ms = millis(begun.elapsed());
        let there = town.client.packets();
        Ok(Self {
            journeys: there.journeys,
            msat: there.value.get(),
            ms,
        })
    }
}

impl Round {
    async fn run(town: &Town, bitcoin: &mut Bitcoin, way: &'static str) -> Result<Self> {
        let submission = Submission::single(&serialize(&bitcoin.transaction()))?;
        let (spent, before) = (town.client.spent(), Reading::of_all(town)?);
        let begun = now();
        let answer = town.client.broadcast(&submission).await?;
        let ms = millis(begun.elapsed());
        let hops = before.iter().zip(&town.relays);
        let hops = hops.map(|(before, relay)| before.hop_since(relay));
        let hops: Vec<_> = hops.collect::<Result<_>>()?;
        let (nodes_with_it, nodes) = bitcoin.spread(submission.txid()).await;
        Ok(Self {
            way,
            txid: submission.txid().to_string(),
            accepted: answer == Answer::Accepted(submission.txid()),
            answer: match answer {
                Answer::Accepted(_) => "accepted".into(),
                Answer::Rejected(class) => format!("rejected: {class}"),
            },
            ms,
            spent_msat: town.client.spent().saturating_sub(spent).get(),
            hops: hops.into_iter().filter(|hop| hop.vouchers > 0).collect(),
            nodes_with_it,
            nodes,
        })
    }
}

/// A relay's counters and ledger.
struct Reading {
    stats: PacketStats,
    vouchers: u64,
    fees: Msat,
}

impl Reading {
    fn of(relay: &Relay) -> Result<Self> {
        let totals = relay.node.relay().ledger().totals()?.packets;
        Ok(Self {
            stats: relay.node.relay().stats().packets,
            vouchers: totals.taken,
            fees: totals.fees,
        })
    }

    /// Without the answers of its own.
    fn passed_on(&self) -> u64 {
        self.stats.forwarded.saturating_sub(self.stats.answered)
    }

    fn of_all(town: &Town) -> Result<Vec<Self>> {
        town.relays.iter().map(Self::of).collect()
    }

    fn hop_since(&self, relay: &Relay) -> Result<Hop> {
        let now = Self::of(relay)?;
        Ok(Hop {
            relay: relay.name.clone(),
            id: relay.node.relay().id().to_string(),
            forwarded: now.passed_on() - self.passed_on(),
            delivered: now.stats.delivered - self.stats.delivered,
            served: now.stats.served - self.stats.served,
            vouchers: now.vouchers - self.vouchers,
            paid_msat: now.fees.saturating_sub(self.fees).get(),
        })
    }
}

fn ledgers(town: &Town) -> Result<Msat> {
    let readings = Reading::of_all(town)?;
    Ok(readings.iter().map(|reading| reading.fees).sum())
}

impl Report {
    /// Why the run was not what it should be, if it was not.
    fn problem(&self) -> Option<String> {
        for round in &self.rounds {
            let paid: u64 = round.hops.iter().map(|hop| hop.paid_msat).sum();
            let (way, spent) = (round.way, round.spent_msat);
            if !round.accepted {
                return Some(format!("{way}: {}", round.answer));
            }
            if round.nodes_with_it < round.nodes {
                return Some(format!("{way}: not all nodes have the transaction"));
            }
            if paid != spent || paid == 0 {
                return Some(format!(
                    "{way}: {spent} msat were spent and relays have {paid}"
                ));
            }
        }
        (self.spent_msat != self.ledgers_msat).then(|| {
            let (spent, paid) = (self.spent_msat, self.ledgers_msat);
            format!("{spent} msat were spent and relays have {paid}")
        })
    }
}

/// Until Ctrl-C, for a wallet in another process.
async fn stay(town: &Town, bitcoin: &mut Bitcoin) -> Result<()> {
    let wallet = wallet::make(town).await?;
    let transaction = hex::encode(serialize(&bitcoin.transaction()));
    println!("\nThe network stays up. Try it with a wallet of your own:\n");
    println!("  {}\n", wallet::advice(&wallet, &transaction));
    println!("Ctrl-C ends it.");
    Ok(tokio::signal::ctrl_c().await?)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
