//! What packets did and cost, as a table or as JSON.

use crate::account::Account;
use crate::broadcast::{Report, Round};
use anyhow::Result;
use coinfuse_wire::Msat;

/// Prints it.
pub(crate) fn print(report: &Report, account: &Account) {
    let stock = &report.stock;
    println!(
        "{} journeys there and back bought ahead for {} in {:.1} ms\n",
        stock.journeys,
        Msat::new(stock.msat),
        stock.ms
    );
    println!("transactions to {}", report.bitcoin);
    for round in &report.rounds {
        print_round(round);
    }
    println!(
        "\nspent {}; in the relays' ledgers {}: {}",
        Msat::new(report.spent_msat),
        Msat::new(report.ledgers_msat),
        if report.spent_msat == report.ledgers_msat {
            "right"
        } else {
            "WRONG"
        }
    );
    account.print();
}

fn print_round(round: &Round) {
    println!("\n{}", round.way);
    println!(
        "  {} {} after {:.1} ms; {} of {} nodes have it; cost {}",
        round.txid,
        round.answer,
        round.ms,
        round.nodes_with_it,
        round.nodes,
        Msat::new(round.spent_msat),
    );
    println!(
        "  {:<10} {:<10} {:>8} {:>10}  did",
        "hop", "id", "vouchers", "paid, msat"
    );
    for hop in &round.hops {
        let did = [
            (hop.forwarded, "passed on"),
            (hop.served, "gave to the Bitcoin network"),
            (hop.delivered, "brought to the client"),
        ];
        let did = did.iter().filter(|(times, _)| *times > 0);
        let did: Vec<_> = did
            .map(|(times, what)| match times {
                1 => (*what).to_owned(),
                times => format!("{what} {times} times"),
            })
            .collect();
        println!(
            "  {:<10} {:<10} {:>8} {:>10}  {}",
            hop.relay,
            &hop.id[..8],
            hop.vouchers,
            hop.paid_msat,
            did.join(", ")
        );
    }
}

/// Everything as one JSON object.
pub(crate) fn json(report: &Report, account: &Account) -> Result<String> {
    let mut json = serde_json::to_value(report)?;
    json["account"] = serde_json::to_value(account)?;
    Ok(serde_json::to_string_pretty(&json)?)
}
