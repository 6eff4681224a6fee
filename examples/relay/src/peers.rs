//! `relay peers`: how others find the network by this relay, and who it knows.

use crate::Failure;
use crate::money::{ask, sentence, show as show_answer, text};
use coinfuse::config::RelayConfig;
use coinfuse::discovery::{PeerAddress, SourceStatus};
use coinfuse::keys::MasterSeed;
use coinfuse::node::{RelayNode, bootstrap_addresses, relay_id};
use coinfuse_wire::RelayId;
use serde_json::{Value, json};

/// What is asked of a relay that runs.
pub(crate) const QUESTION: &str = "peers";

/// What a running relay answers.
pub(crate) async fn answer(node: &RelayNode) -> Result<Value, String> {
    let Some(discovery) = node.discovery() else {
        return Ok(addresses(node.relay().id(), &[]));
    };
    let status = discovery.status().await.map_err(sentence)?;
    let mut answer = addresses(node.relay().id(), &status.addresses);
    answer["relays"] = status.relays.into();
    answer["waiting"] = status.waiting.into();
    answer["connected"] = status.peers.into();
    answer["sources"] = status.sources.iter().map(source).collect();
    Ok(answer)
}

fn addresses(relay: RelayId, peers: &[PeerAddress]) -> Value {
    let peers = peers.iter().map(ToString::to_string);
    json!({ "relay": relay.to_string(), "bootstrap": peers.collect::<Vec<_>>() })
}

fn source(source: &SourceStatus) -> Value {
    json!({
        "key": hex(source.peer.as_bytes()),
        "address": source.address.map(|address| address.to_string()),
        "bootstrap": source.bootstrap,
        "trouble": source.trouble.map(|trouble| trouble.to_string()),
        "standing": format!("{:?}", source.standing).to_lowercase(),
        "heard_secs_ago": source.heard.map(|heard| heard.as_secs()),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) async fn show(
    config: &RelayConfig,
    seed: &MasterSeed,
    as_json: bool,
) -> Result<(), Failure> {
    let answer = match ask(config, QUESTION).await? {
        Some(answer) => answer,
        None => addresses(relay_id(seed), &bootstrap_addresses(config, seed)),
    };
    show_answer(as_json, &answer, || print(&answer));
    Ok(())
}

fn print(answer: &Value) {
    let list = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    let peers: Vec<_> = list("bootstrap").iter().map(Value::to_string).collect();
    match peers.is_empty() {
        true => {
            println!("nobody can find the network by this relay: see [discovery] and `advertise`")
        }
        false => println!("bootstrap = [{}]", peers.join(", ")),
    }
    println!("its id is {}", text(&answer["relay"]));
    if answer.get("relays").is_none() {
        println!("the relay does not run");
        return;
    }
    println!(
        "{} relays known, {} for whom there is no place, {} peers connected",
        answer["relays"], answer["waiting"], answer["connected"]
    );
    for source in list("sources") {
        let heard = match source["heard_secs_ago"].as_u64() {
            Some(secs) => format!("heard {secs} s ago"),
            None => "not heard yet".into(),
        };
        println!(
            "{:<24} {:<10} {heard}",
            source["address"].as_str().unwrap_or("-"),
            text(&source["standing"])
        );
        if let Some(trouble) = source["trouble"].as_str() {
            println!("    {trouble}");
        }
    }
}
