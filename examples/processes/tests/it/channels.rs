//! Payment channels between processes: a whole session, and `kill -9` on either side.

use crate::books::{msat, sum};
use crate::process::{CLIENT, Running, json, until};
use crate::town::{Town, body, curl};
use serde_json::Value;
use std::process::Stdio;
use tokio::process::{Child, Command};

const MIB: u64 = 1 << 20;
const FUNDED: u64 = 500_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_paid_through_channels_and_every_msat_is_found_again() {
    let town = Town::with_relays().await;
    let (mut client, socks) = client(&town).await;
    download(&town, &socks, 16 * MIB).await;
    let channels = agreed(&town).await;

    for channel in channels.as_array().unwrap() {
        assert!(msat(channel, "updates") >= 2, "{channel}");
        // The first 2 MiB were paid with vouchers, and some credit was left of them.
        assert!(msat(channel, "paid_msat") >= 1_200, "{channel}");
        let number = town.number_of(channel["relay"].as_str().unwrap());
        let earned = town.earnings(number).await["channels"].clone();
        assert_eq!(
            (&earned["paid_msat"], &earned["opened"]),
            (&channel["paid_msat"], &1.into())
        );
    }
    let hops = town.circuits().await["circuits"][0]["hops"].clone();
    assert_eq!(
        sum(&hops, "channels_paid_msat"),
        sum(&channels, "paid_msat"),
        "{hops}"
    );

    assert_eq!(client.signal("INT").await.code(), Some(0));
    // What the client has left is out of its reach until the relays settle.
    let closed = town.client_channels().await;
    assert!(
        closed
            .as_array()
            .unwrap()
            .iter()
            .all(|channel| channel["stage"] == "closing"),
        "{closed}"
    );
    let asked = json(CLIENT, &town.client_dir(), &["recover", "--json"]).await;
    assert_eq!(asked["from_channels_msat"], 0, "{asked}");
    let (paid, left) = (sum(&closed, "paid_msat"), sum(&closed, "locked_msat"));
    assert_eq!(town.settle().await, paid);
    assert_eq!(town.recover().await, left);
    town.balance_of_all_is(FUNDED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_killed_while_it_pays_goes_on_with_its_channels() {
    let town = Town::with_relays().await;
    let (mut running, socks) = client(&town).await;
    let before = town.client_channels().await;
    let mut endless = downloading(&town, &socks);
    until("payments to every relay", async || {
        let channels = town.client_channels().await;
        let pays = |channel: &Value| msat(channel, "updates") >= 2;
        channels.as_array().unwrap().iter().all(pays).then_some(())
    })
    .await;
    running.signal("KILL").await;
    assert!(!endless.wait().await.unwrap().success(), "it was under way");
    let killed = town.client_channels().await;
    assert_eq!(names(&killed), names(&before));

    let (mut running, socks) = town.run_client().await;
    download(&town, &socks, 16 * MIB).await;
    let after = agreed(&town).await;
    assert_eq!(names(&after), names(&before), "the same channels pay");
    for (killed, after) in pairs(&killed, &after) {
        assert!(
            msat(after, "paid_msat") > msat(killed, "paid_msat"),
            "{after}, after {killed}"
        );
    }

    assert_eq!(running.signal("INT").await.code(), Some(0));
    town.settle().await;
    town.recover().await;
    town.balance_of_all_is(FUNDED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_killed_has_what_its_channel_paid() {
    let mut town = Town::with_relays().await;
    let (mut running, socks) = client(&town).await;
    download(&town, &socks, 8 * MIB).await;
    let before = agreed(&town).await;
    let hops = town.circuits().await["circuits"][0]["hops"].clone();
    let number = town.number_of(hops[1]["relay"].as_str().unwrap());
    let kept = town.relay_channels(number).await;

    town.relays[number].signal("KILL").await;
    // Looked up in its files.
    assert_eq!(town.relay_channels(number).await, kept);
    town.start_relay(number).await;
    running.logs("a circuit ended").await;
    until("a circuit through the relay that is back", async || {
        // The first tries may meet links that are not known to be dead yet.
        let tried = curl(&socks, &[&town.web.url("/hello")]).await;
        tried.status.success().then_some(())
    })
    .await;
    download(&town, &socks, 16 * MIB).await;
    let after = agreed(&town).await;
    assert_eq!(names(&after), names(&before), "the same channels pay");
    for (before, after) in pairs(&before, &after) {
        assert!(
            msat(after, "paid_msat") > msat(before, "paid_msat"),
            "{after}, after {before}"
        );
    }

    assert_eq!(running.signal("INT").await.code(), Some(0));
    town.settle().await;
    // A client that is started again fetches by itself what is left.
    let (mut running, _) = town.run_client().await;
    until("the rest of the channels", async || {
        town.has_no_channels().await.then_some(())
    })
    .await;
    assert_eq!(running.signal("INT").await.code(), Some(0));
    town.balance_of_all_is(FUNDED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_that_settle_in_the_middle_of_a_session_break_nothing_and_gain_nothing() {
    let town = Town::with_relays().await;
    let (mut running, socks) = client(&town).await;
    download(&town, &socks, 8 * MIB).await;
    let paid = sum(&agreed(&town).await, "paid_msat");
    assert_eq!(town.settle().await, paid);
    // Paid with vouchers, or through the next channels.
    download(&town, &socks, 16 * MIB).await;

    assert_eq!(running.signal("INT").await.code(), Some(0));
    town.settle().await;
    town.recover().await;
    town.balance_of_all_is(FUNDED).await;
}

/// A client that pays often, and has a channel to each of the three relays.
async fn client(town: &Town) -> (Running, String) {
    town.init_client(&[town.mint.url()]).await;
    town.edit_client(&[
        ("top_up_mib = 16", "top_up_mib = 2"),
        ("top_up_below_mib = 8", "top_up_below_mib = 1"),
    ]);
    town.fund("500sat", town.mint.url()).await;
    let (client, socks) = town.run_client().await;
    assert_eq!(body(&socks, &[&town.web.url("/hello")]).await, b"hello\n");
    until("channels to three relays", async || {
        let channels = town.client_channels().await;
        let open = |channel: &&Value| channel["stage"] == "open";
        let open = channels.as_array().unwrap().iter().filter(open);
        (open.count() == 3).then_some(())
    })
    .await;
    (client, socks)
}

async fn download(town: &Town, socks: &str, size: u64) {
    let got = body(socks, &[&town.web.url(&format!("/bytes/{size}"))]).await;
    assert_eq!(got.len() as u64, size);
}

/// A download that takes half a minute at least.
fn downloading(town: &Town, socks: &str) -> Child {
    let mut command = Command::new("curl");
    command.args(["--silent", "--limit-rate", "4M", "--socks5-hostname", socks]);
    command.arg(town.web.url(&format!("/bytes/{}", 128 * MIB)));
    let command = command.stdout(Stdio::null()).kill_on_drop(true);
    command.spawn().expect("curl is installed")
}

/// The client's channels, when the relays know of all that they have paid.
async fn agreed(town: &Town) -> Value {
    until("the relays to say what the client says", async || {
        let channels = town.client_channels().await;
        for channel in channels.as_array().unwrap() {
            let number = town.number_of(channel["relay"].as_str().unwrap());
            let known = town.relay_channels(number).await;
            let same = |known: &Value| {
                known["paid_msat"] == channel["paid_msat"] && known["stage"] == "open"
            };
            if !known.as_array().unwrap().iter().all(same) {
                return None;
            }
        }
        // Nothing was paid while the relays were asked.
        (town.client_channels().await == channels).then_some(channels)
    })
    .await
}

fn names(channels: &Value) -> Vec<&str> {
    let channels = channels.as_array().unwrap().iter();
    channels
        .map(|channel| channel["id"].as_str().unwrap())
        .collect()
}

fn pairs<'a>(before: &'a Value, after: &'a Value) -> impl Iterator<Item = (&'a Value, &'a Value)> {
    let after = after.as_array().unwrap();
    before.as_array().unwrap().iter().zip(after)
}
