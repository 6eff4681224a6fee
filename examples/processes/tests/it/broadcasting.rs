//! A wallet has transactions broadcast.

use crate::packets::{LAST, answer, broadcast, complaint, hex, peers, start, to_peers};
use crate::process::{CLIENT, json, succeed, until};
use crate::town::{Town, edit};
use bitcoin::OutPoint;
use coinfuse_testkit::Regtest;
use coinfuse_testkit::bitcoin_node::program;
use coinfuse_testkit::bitcoin_peer::{spending, transaction};
use serde_json::Value;

const ACCEPTED: Option<i32> = Some(0);
const FAILURE: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);
const REFUSED: Option<i32> = Some(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_reaches_the_bitcoin_network_and_every_msat_is_found_again() {
    let peers = peers();
    let town = Town::with_mempool(&to_peers(&peers)).await;
    town.fund("500sat", town.mint.url()).await;

    let sent = transaction(1, 1);
    let txid = sent.compute_txid();
    let output = town.broadcast(&["--tx", &hex(&sent), "--json"]).await;
    let said = answer(&output);
    assert_eq!(
        (output.status.code(), &said["accepted"]),
        (ACCEPTED, &true.into()),
        "{said}"
    );
    assert_eq!(said["txid"], txid.to_string());
    assert!(peers.iter().all(|peer| peer.has(txid)));

    // Three relays there and three back, each paid once.
    let spent = said["spent_msat"].as_u64().unwrap();
    assert_eq!(town.paid_for_packets().await, (spent, 6));
    let balance = json(CLIENT, &town.client_dir(), &["balance", "--json"]).await;
    let left = |name: &str| balance[name].as_u64().unwrap();
    assert_eq!(left("total_msat") + left("locked_msat") + spent, 500_000);
    // What was bought ahead is there for the next one.
    assert_eq!(left("locked_msat"), said["ahead_msat"]);

    // Nobody writes down what was sent, or to whom.
    let addresses = peers.each_ref().map(|peer| peer.addr().to_string());
    let whole = hex(&sent);
    for secret in addresses.iter().chain([&txid.to_string(), &whole]) {
        for relay in &town.relays {
            assert!(!relay.log().contains(secret), "{secret}");
        }
    }

    // For people, from the standard input; it is known already, and paid from what was bought.
    let output = broadcast(&town.client_dir(), &["--tx", "-"], &(hex(&sent) + "\n")).await;
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(words.starts_with(&txid.to_string()), "{words}");
    let balance = json(CLIENT, &town.client_dir(), &["balance", "--json"]).await;
    assert_eq!(left("total_msat"), balance["total_msat"].as_u64().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_without_a_fee_goes_with_the_child_that_pays() {
    let peers = peers();
    let town = Town::with_mempool(&to_peers(&peers)).await;
    town.fund("500sat", town.mint.url()).await;
    let parent = transaction(1, 2);
    let child = spending(OutPoint::new(parent.compute_txid(), 0), 1);
    let arguments = ["--tx", &hex(&child), "--parent", &hex(&parent)];
    let output = town.broadcast(&arguments).await;
    assert_eq!(output.status.code(), ACCEPTED, "{}", complaint(&output).1);
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(words.contains("the Bitcoin network has it"), "{words}");
    for transaction in [parent, child] {
        assert!(peers[0].has(transaction.compute_txid()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_bitcoin_nodes_are_away_says_so_and_what_to_do() {
    let peers = peers();
    let section = to_peers(&peers);
    drop(peers);
    let town = Town::with_mempool(&section).await;
    town.fund("500sat", town.mint.url()).await;
    let output = town.broadcast(&["--tx", &hex(&transaction(1, 1))]).await;
    assert_eq!(output.status.code(), REFUSED, "{}", complaint(&output).1);
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        words.contains("no node could be reached; try again"),
        "{words}"
    );
    let log = &town.relays[LAST];
    log.logs("handed to nobody: none of the peers could be reached")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vouchers_can_be_bought_before_there_is_a_transaction() {
    let peers = peers();
    let mut town = Town::with_mempool(&to_peers(&peers)).await;
    town.fund("500sat", town.mint.url()).await;
    let bought = answer(&town.broadcast(&["--stock", "--json"]).await);
    let ahead = bought["ahead_msat"].as_u64().unwrap();
    assert!(ahead > 0 && bought["spent_msat"] == 0, "{bought}");

    // No mint is needed any more.
    town.mint.stop().await;
    let sent = transaction(1, 1);
    let said = answer(&town.broadcast(&["--tx", &hex(&sent), "--json"]).await);
    assert_eq!(said["accepted"], true, "{said}");
    let spent = said["spent_msat"].as_u64().unwrap();
    assert_eq!(said["ahead_msat"], ahead - spent);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_wallet_says_how_to_fund_it_and_sends_nothing() {
    let peers = peers();
    let town = Town::with_mempool(&to_peers(&peers)).await;
    let output = town.broadcast(&["--tx", &hex(&transaction(1, 1))]).await;
    let (code, words) = complaint(&output);
    assert_eq!(code, FAILURE);
    assert!(words.contains("`client fund 1000`"), "{words}");
    assert_eq!(peers[0].connections() + peers[1].connections(), 0);

    town.fund("500sat", town.mint.url()).await;
    let output = town.broadcast(&["--tx", &hex(&transaction(1, 1))]).await;
    assert_eq!(output.status.code(), ACCEPTED, "{}", complaint(&output).1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_relay_that_offers_it_there_is_no_path() {
    let town = Town::with_mempool("").await;
    town.fund("500sat", town.mint.url()).await;
    let output = town.broadcast(&["--tx", &hex(&transaction(1, 1))]).await;
    let (code, words) = complaint(&output);
    assert_eq!(code, FAILURE);
    assert!(words.contains("relay"), "{words}");
    assert_eq!(town.paid_for_packets().await, (0, 0));
}

#[tokio::test]
async fn what_is_no_transaction_is_said_before_anything_is_paid() {
    let dir = tempfile::tempdir().unwrap();
    let whole = hex(&transaction(1, 1));
    let missing = broadcast(dir.path(), &["--tx", &whole], "").await;
    let (code, words) = complaint(&missing);
    assert_eq!(code, USAGE);
    assert!(words.contains("client.toml cannot be read"), "{words}");

    succeed(CLIENT, dir.path(), &["init"]).await;
    let stranger = hex(&transaction(2, 1));
    for (arguments, expected) in [
        (vec!["--tx", "nonsense"], "a transaction has to be hex"),
        (vec!["--tx", ""], "transaction: not a transaction"),
        (vec!["--tx", "c0ffee"], "transaction: not a transaction"),
        (vec!["--tx", &whole[2..]], "transaction: not a transaction"),
        (
            vec!["--tx", &whole, "--parent", &stranger],
            "spends no output of the first",
        ),
        (
            vec!["--tx", &whole, "--parent", "00"],
            "parent: not a transaction",
        ),
        (vec!["--parent", &whole], "--tx"),
        (vec![], "--tx"),
    ] {
        let (code, words) = complaint(&broadcast(dir.path(), &arguments, "").await);
        assert_eq!(code, USAGE, "{arguments:?}: {words}");
        assert!(words.contains(expected), "{arguments:?}: {words}");
    }
    let whole_line = whole.clone() + "00";
    let (code, words) = complaint(&broadcast(dir.path(), &["--tx", "-"], &whole_line).await);
    assert_eq!(code, USAGE);
    assert!(words.contains("not a transaction"), "{words}");
    edit(
        &dir.path().join("client.toml"),
        &[("hops = 3", "hops = 0")],
        "",
    );
    let (code, words) = complaint(&broadcast(dir.path(), &["--tx", &whole], "").await);
    assert_eq!(code, USAGE);
    assert!(words.contains("`hops`: found 0"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_a_client_uses_is_not_used_twice() {
    let peers = peers();
    let town = Town::with_mempool(&to_peers(&peers)).await;
    let (_client, _) = town.run_client().await;
    let output = town.broadcast(&["--tx", &hex(&transaction(1, 1))]).await;
    let (code, words) = complaint(&output);
    assert_eq!(code, FAILURE);
    assert!(words.contains("another process has it open"), "{words}");
}

/// The wallet dies while it waits for its answer, and the relay while it holds the transaction.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_killed_on_the_way_loses_nothing_and_pays_nothing_twice() {
    let peers = peers();
    let slow = to_peers(&peers).replace("mean_delay_secs = 0", "mean_delay_secs = 3600");
    let mut town = Town::with_mempool(&slow).await;
    town.fund("500sat", town.mint.url()).await;
    let sent = hex(&transaction(1, 1));

    let mut wallet = start(&town.client_dir(), &["--tx", &sent]);
    let there = async || {
        let (fees, taken) = town.paid_for_packets().await;
        (taken == 3).then_some(fees)
    };
    let fees = until("the packet to be at the last relay", there).await;
    wallet.kill().await.expect("it runs");
    town.relays[LAST].signal("KILL").await;
    // Vouchers that nobody has said to have taken are still the wallet's, but not to be used.
    let balance = json(CLIENT, &town.client_dir(), &["balance", "--json"]).await;
    let left = |balance: &Value, name: &str| balance[name].as_u64().unwrap();
    let total = left(&balance, "total_msat");
    assert_eq!(total + left(&balance, "locked_msat"), 500_000);

    let file = town.relay_dir(LAST).join("relay.toml");
    let quick = [("mean_delay_secs = 3600", "mean_delay_secs = 0")];
    edit(&file, &quick, "");
    town.start_relay(LAST).await;
    // The others start again as well, so that none waits for the dead one's links to time out. All
    // are known by the keys that they had before.
    for number in 0..LAST {
        assert_eq!(town.relays[number].signal("TERM").await.code(), Some(0));
        town.start_relay(number).await;
    }
    assert_eq!(town.paid_for_packets().await, (fees, 3));
    let said = answer(&town.broadcast(&["--tx", &sent, "--json"]).await);
    assert_eq!(said["accepted"], true, "{said}");
    let spent = left(&said, "spent_msat");
    assert_eq!(town.paid_for_packets().await, (fees + spent, 9));
    let balance = json(CLIENT, &town.client_dir(), &["balance", "--json"]).await;
    let (total, locked) = (left(&balance, "total_msat"), left(&balance, "locked_msat"));
    assert_eq!(total + locked + spent, 500_000);
}

#[tokio::test]
async fn a_mempool_without_packets_is_of_no_use_and_the_operator_is_told() {
    let mut town = Town::empty().await;
    town.init_relay(0, &to_peers(&peers())).await;
    town.start_relay(0).await;
    let words = "no transactions come to [mempool], since packets are not taken";
    town.relays[0].logs(words).await;
}

/// With a real node behind the relay, if `BITCOIND_EXE` says where one is.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_node_takes_it_and_says_why_it_refuses() {
    let Some(program) = program() else {
        eprintln!("skipped: BITCOIND_EXE does not say where a bitcoind is");
        return;
    };
    let mut regtest = Regtest::start(&program).await.expect("two nodes");
    let section = format!(
        "[mempool]\nnetwork = \"regtest\"\nrpc = \"{}\"\ncookie = \"{}\"\nmean_delay_secs = 1\n",
        regtest.one.rpc(),
        regtest.one.cookie().display()
    );
    let town = Town::with_mempool(&section).await;
    town.fund("500sat", town.mint.url()).await;
    let sent = regtest.spend(1_000);
    let said = answer(&town.broadcast(&["--tx", &hex(&sent), "--json"]).await);
    assert_eq!(said["accepted"], true, "{said}");
    let txid = sent.compute_txid();
    assert!(regtest.one.has(txid).await);
    let other = async || regtest.other.has(txid).await.then_some(());
    until("the other node to have it", other).await;

    let known = town.broadcast(&["--tx", &hex(&sent), "--json"]).await;
    assert_eq!(known.status.code(), ACCEPTED);
    assert_eq!(
        answer(&known)["refused"],
        "the transaction is known already"
    );
    let free = regtest.spend(0);
    let output = town.broadcast(&["--tx", &hex(&free)]).await;
    assert_eq!(output.status.code(), REFUSED, "{}", complaint(&output).1);
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        words.contains("the fee is too low; make one that pays more"),
        "{words}"
    );
}
