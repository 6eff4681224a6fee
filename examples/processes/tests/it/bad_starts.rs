//! What an operator or a user gets wrong, and what he is told.

use crate::process::{CLIENT, RELAY, Running, fail, succeed};
use crate::town::{Town, edit, free_port};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const USAGE: i32 = 2;
const FAILURE: i32 = 1;

#[tokio::test]
async fn a_seed_is_private_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    for (program, seed) in [(RELAY, "relay-data/seed"), (CLIENT, "client-data/seed")] {
        succeed(program, dir.path(), &["init"]).await;
        let seed = dir.path().join(seed);
        assert_eq!(
            fs::metadata(&seed).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let before = fs::read(&seed).unwrap();
        let (code, words) = fail(program, dir.path(), &["init"]).await;
        assert_eq!(code, FAILURE);
        assert!(words.contains("is not overwritten"), "{words}");
        assert_eq!(fs::read(&seed).unwrap(), before);
    }
}

#[tokio::test]
async fn no_configuration_says_how_to_make_one() {
    let dir = tempfile::tempdir().unwrap();
    for (program, advice) in [(RELAY, "`relay init`"), (CLIENT, "`client init`")] {
        let (code, words) = fail(program, dir.path(), &["run"]).await;
        assert_eq!(code, USAGE);
        assert!(words.contains(advice), "{words}");
    }
    let (code, _) = fail(RELAY, dir.path(), &["walk"]).await;
    assert_eq!(code, USAGE);
}

#[tokio::test]
async fn a_wrong_line_is_named_with_what_is_expected() {
    let dir = tempfile::tempdir().unwrap();
    succeed(RELAY, dir.path(), &["init"]).await;
    let wrong = [("listen = \"[::]:4433\"", "listen = \"everywhere\"")];
    edit(&dir.path().join("relay.toml"), &wrong, "");
    let (code, words) = fail(RELAY, dir.path(), &["run"]).await;
    assert_eq!(code, USAGE);
    for part in [
        "relay.toml, line ",
        "`listen`",
        "\"everywhere\"",
        "expected an IP address and a port",
    ] {
        assert!(words.contains(part), "{words}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    succeed(RELAY, dir.path(), &["init"]).await;
    let listen = format!("listen = \"{address}\"");
    edit(
        &dir.path().join("relay.toml"),
        &[("listen = \"[::]:4433\"", &listen)],
        "",
    );
    let (code, words) = fail(RELAY, dir.path(), &["run"]).await;
    assert_eq!(code, FAILURE);
    assert!(
        words.contains(&address) && words.contains("another program"),
        "{words}"
    );

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    succeed(CLIENT, dir.path(), &["init"]).await;
    let listen = format!("listen = \"{address}\"");
    edit(
        &dir.path().join("client.toml"),
        &[("listen = \"127.0.0.1:1080\"", &listen)],
        "",
    );
    let (code, words) = fail(CLIENT, dir.path(), &["run"]).await;
    assert_eq!(code, FAILURE);
    assert!(
        words.contains(&address) && words.contains("another program has this port"),
        "{words}"
    );
}

#[tokio::test]
async fn a_missing_directory_file_says_what_belongs_into_it() {
    let dir = tempfile::tempdir().unwrap();
    client_on_any_port(dir.path()).await;
    let (code, words) = fail(CLIENT, dir.path(), &["run"]).await;
    assert_eq!(code, FAILURE);
    assert!(
        words.contains("directory.txt") && words.contains("`relay descriptor`"),
        "{words}"
    );
}

#[tokio::test]
async fn each_bad_line_of_the_directory_file_is_named_and_costs_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    client_on_any_port(dir.path()).await;
    fs::write(
        dir.path().join("directory.txt"),
        "# mine\nnonsense\ncoinfuse-relay1:!\n",
    )
    .unwrap();
    let mut client = Running::start(CLIENT, dir.path(), &["run"]);
    client.line().await;
    client
        .logs("directory.txt, line 2: expected a line that starts with")
        .await;
    client.logs("directory.txt, line 3: ").await;
    assert_eq!(client.signal("TERM").await.code(), Some(0));
}

#[tokio::test]
async fn a_fund_without_a_mint_says_which_line_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    client_on_any_port(dir.path()).await;
    for arguments in [
        &["fund", "10"][..],
        &["fund", "10", "--mint", "https://mint.example"],
    ] {
        let (code, words) = fail(CLIENT, dir.path(), arguments).await;
        assert_eq!(code, USAGE);
        assert!(words.contains("[[mint]]"), "{words}");
    }
    let (code, words) = fail(CLIENT, dir.path(), &["fund", "much"]).await;
    assert_eq!(code, USAGE);
    assert!(words.contains("expected a whole number"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_mint_is_down_runs_says_so_and_takes_it_up_when_it_is_back() {
    let mut town = Town::empty().await;
    let (accept, addr) = (town.accept(), town.mint.addr());
    town.mint.stop().await;
    town.init_relay(0, &accept).await;
    town.start_relay(0).await;
    town.relays[0]
        .logs("does not answer: its vouchers are refused until it does")
        .await;
    assert!(town.relays[0].log().contains(&addr.to_string()));

    town.mint.restart().await;
    town.relays[0]
        .logs("answers: its vouchers are accepted from now on")
        .await;
    assert_eq!(town.relays[0].signal("TERM").await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_on_one_ledger_are_one_too_many() {
    let mut town = Town::empty().await;
    town.init_relay(0, "").await;
    town.start_relay(0).await;
    let listen = format!("listen = \"127.0.0.1:{}\"", free_port());
    let file = town.relay_dir(0).join("relay.toml");
    let text = fs::read_to_string(&file).unwrap();
    let first = text
        .lines()
        .find(|line| line.starts_with("listen = \"127"))
        .unwrap()
        .to_owned();
    edit(&file, &[(&first, &listen)], "");
    let (code, words) = fail(RELAY, &town.relay_dir(0), &["run"]).await;
    assert_eq!(code, FAILURE);
    assert!(
        words.contains("the ledger is in use by another process"),
        "{words}"
    );
}

async fn client_on_any_port(dir: &Path) {
    succeed(CLIENT, dir, &["init"]).await;
    let any = [("listen = \"127.0.0.1:1080\"", "listen = \"127.0.0.1:0\"")];
    edit(&dir.join("client.toml"), &any, "");
}
