//! The payment channels, for people and for scripts.

use coinfuse::client::ChannelReport;
use serde_json::{Value, json};

/// The channels as an answer.
pub(crate) fn list(channels: &[ChannelReport]) -> Value {
    let channels = channels.iter().map(|channel| {
        json!({
            "id": channel.id,
            "relay": channel.relay.to_string(),
            "stage": channel.stage.as_str(),
            "capacity_msat": channel.capacity.get(),
            "paid_msat": channel.paid.get(),
            "locked_msat": channel.locked.get(),
            "updates": channel.updates,
            "expiry": channel.expiry.secs(),
        })
    });
    json!({ "channels": channels.collect::<Vec<_>>() })
}

/// Shows it to a person.
pub(crate) fn show(answer: &Value) {
    let channels = answer["channels"].as_array();
    if channels.is_none_or(Vec::is_empty) {
        println!("no payment channels");
    }
    for channel in channels.into_iter().flatten() {
        let text = |name: &str| channel[name].as_str().unwrap_or_default();
        let relay = text("relay");
        println!(
            "{}  {:<8} to {}  paid {} of {} msat in {} updates, {} msat locked",
            text("id"),
            text("stage"),
            relay.get(..8).unwrap_or(relay),
            channel["paid_msat"],
            channel["capacity_msat"],
            channel["updates"],
            channel["locked_msat"],
        );
    }
}
