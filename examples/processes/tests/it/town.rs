//! A mint, relays, a client and a web server, each in a folder or on a port of its own.

use crate::process::{CLIENT, RELAY, Running, json, succeed, until};
use coinfuse_mint::LoopbackLightning;
use coinfuse_mint::loopback::LoopbackServer;
use coinfuse_testkit::{TestMint, Unit, WebServer};
use serde_json::Value;
use std::fs;
use std::net::{TcpListener as StdTcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;

/// curl's exit code for a proxy that refuses.
pub(crate) const CURLE_PROXY: i32 = 97;

/// What makes a client pay without channels, for tests whose sums are of vouchers.
pub(crate) const VOUCHERS_ONLY: (&str, &str) = ("enabled = true", "enabled = false");

/// Everything that a client needs, on this machine.
pub(crate) struct Town {
    pub(crate) mint: TestMint,
    pub(crate) web: WebServer,
    pub(crate) lightning: LoopbackServer,
    pub(crate) relays: Vec<Running>,
    /// The folder of the client that is meant.
    pub(crate) client: &'static str,
    /// Goes last: the others look into it until then.
    folder: TempDir,
}

impl Town {
    /// A mint and a web server; no relays yet.
    pub(crate) async fn empty() -> Self {
        let network = LoopbackLightning::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let lightning = network
            .serve(listener)
            .expect("a network for several processes");
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            mint: TestMint::on(&network, Unit::Msat).await,
            web: WebServer::start().expect("a web server"),
            lightning,
            relays: Vec::new(),
            client: "client",
        }
    }

    /// Three relays that accept the mint's ecash; each may be the exit to this machine.
    pub(crate) async fn with_relays() -> Self {
        let mut town = Self::empty().await;
        for number in 0..3 {
            town.init_relay(number, &town.accept()).await;
            town.start_relay(number).await;
        }
        town
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn relay_dir(&self, number: usize) -> PathBuf {
        self.path().join(format!("relay-{number}"))
    }

    pub(crate) fn client_dir(&self) -> PathBuf {
        self.path().join(self.client)
    }

    /// The section of a relay that accepts the mint.
    pub(crate) fn accept(&self) -> String {
        format!(
            "[[accept]]\nurl = \"{}\"\nunit = \"msat\"\n",
            self.mint.url()
        )
    }

    /// `relay init`, and what an operator would edit after it.
    pub(crate) async fn init_relay(&self, number: usize, sections: &str) {
        let dir = self.relay_dir(number);
        let first = match number {
            0 => Vec::new(),
            _ => self.bootstrap(0).await,
        };
        succeed(RELAY, &dir, &init(&first)).await;
        let listen = format!("listen = \"127.0.0.1:{}\"", free_port());
        edit(
            &dir.join("relay.toml"),
            &[
                ("listen = \"[::]:4433\"", &listen),
                (
                    "allow_private_neighbours = false",
                    "allow_private_neighbours = true",
                ),
                (
                    "policy = []",
                    "policy = [\"accept 127.0.0.1:*\", \"accept [::1]:*\"]",
                ),
                // So that a neighbour's death is seen soon.
                ("idle_timeout_secs = 30", "idle_timeout_secs = 3"),
                ("keep_alive_secs = 10", "keep_alive_secs = 1"),
            ],
            sections,
        );
    }

    /// `relay run`, until it is ready.
    pub(crate) async fn start_relay(&mut self, number: usize) {
        let mut relay = Running::start(RELAY, &self.relay_dir(number), &["run"]);
        assert!(relay.line().await.starts_with("coinfuse-relay1:"));
        match self.relays.get_mut(number) {
            Some(place) => *place = relay,
            None => self.relays.push(relay),
        }
    }

    /// What others write under `bootstrap` to find the network by a relay.
    pub(crate) async fn bootstrap(&self, number: usize) -> Vec<String> {
        let peers = json(RELAY, &self.relay_dir(number), &["peers", "--json"]).await;
        let peers = peers["bootstrap"].as_array().expect("a list").iter();
        peers
            .map(|peer| peer.as_str().expect("text").to_owned())
            .collect()
    }

    /// Waits until each relay knows all that there are.
    pub(crate) async fn all_know_each_other(&self) {
        for number in 0..self.relays.len() {
            let dir = self.relay_dir(number);
            until("all relays", async || {
                let peers = json(RELAY, &dir, &["peers", "--json"]).await;
                (peers["relays"] == self.relays.len()).then_some(())
            })
            .await;
        }
    }

    /// `client init`, with these mints, and with the first relay to ask who the others are.
    pub(crate) async fn init_client(&self, mints: &[&str]) {
        let dir = self.client_dir();
        let first = self.bootstrap(0).await;
        succeed(CLIENT, &dir, &init(&first)).await;
        let sections: String = mints
            .iter()
            .map(|url| format!("[[mint]]\nurl = \"{url}\"\nunit = \"msat\"\n"))
            .collect();
        edit(
            &dir.join("client.toml"),
            &[
                ("listen = \"127.0.0.1:1080\"", "listen = \"127.0.0.1:0\""),
                ("log = \"info\"", "log = \"debug\""),
                ("idle_timeout_secs = 30", "idle_timeout_secs = 3"),
                ("keep_alive_secs = 10", "keep_alive_secs = 1"),
            ],
            &sections,
        );
    }

    /// What a user would edit in client.toml.
    pub(crate) fn edit_client(&self, changes: &[(&str, &str)]) {
        edit(&self.client_dir().join("client.toml"), changes, "");
    }

    /// `client fund`, with somebody who pays the invoice.
    pub(crate) async fn fund(&self, amount: &str, mint: &str) {
        let arguments = ["fund", amount, "--mint", mint, "--timeout", "30", "--json"];
        let mut command = Command::new(CLIENT);
        command.arg("--dir").arg(self.client_dir()).args(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("fund");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut answer = async || -> Value {
            let line = lines.next_line().await.expect("text").expect("a line");
            serde_json::from_str(&line).expect("JSON")
        };
        let asked = answer().await;
        let paid = self
            .mint
            .pay_invoice(asked["invoice"].as_str().expect("an invoice"))
            .await;
        assert_eq!(asked["amount_msat"], paid.get());
        assert_eq!(answer().await["funded_msat"], paid.get());
        assert!(child.wait().await.expect("a status").success());
    }

    /// A client with money that runs, and the address of its proxy.
    pub(crate) async fn client(&self) -> (Running, String) {
        self.init_client(&[self.mint.url()]).await;
        self.fund("500sat", self.mint.url()).await;
        self.run_client().await
    }

    /// `client run`, until it is ready.
    pub(crate) async fn run_client(&self) -> (Running, String) {
        let mut client = Running::start(CLIENT, &self.client_dir(), &["run"]);
        let line = client.line().await;
        let socks = line
            .strip_prefix("SOCKS5 on ")
            .expect("the proxy's address")
            .to_owned();
        (client, socks)
    }

    /// Which relay has this identity.
    pub(crate) fn number_of(&self, relay: &str) -> usize {
        let is_it = |running: &Running| running.log().contains(relay);
        self.relays.iter().position(is_it).expect("one of ours")
    }

    /// What `client relays --json` says.
    pub(crate) async fn known(&self) -> Vec<Value> {
        let known = json(CLIENT, &self.client_dir(), &["relays", "--json"]).await;
        known["relays"].as_array().expect("a list").clone()
    }

    /// What `client circuits --json` says.
    pub(crate) async fn circuits(&self) -> Value {
        json(CLIENT, &self.client_dir(), &["circuits", "--json"]).await
    }

    /// What `relay earnings --json` says.
    pub(crate) async fn earnings(&self, number: usize) -> Value {
        json(RELAY, &self.relay_dir(number), &["earnings", "--json"]).await
    }
}

/// curl through a proxy, with the names for the exit to resolve.
pub(crate) async fn curl(socks: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--max-time",
        "60",
        "--socks5-hostname",
        socks,
    ]);
    command
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .expect("curl is installed")
}

/// The body of an answer that must come.
pub(crate) async fn body(socks: &str, arguments: &[&str]) -> Vec<u8> {
    let output = curl(socks, arguments).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {arguments:?}: {errors}");
    output.stdout
}

/// Replaces what `init` wrote, which must be there, and appends sections.
pub(crate) fn edit(file: &Path, changes: &[(&str, &str)], sections: &str) {
    let mut text = fs::read_to_string(file).expect("what init wrote");
    for (from, to) in changes {
        assert!(text.contains(from), "{} has no {from}", file.display());
        text = text.replace(from, to);
    }
    fs::write(file, text + "\n" + sections).expect("the folder is ours");
}

/// The arguments of `init` with these peers to ask.
fn init(bootstrap: &[String]) -> Vec<&str> {
    let peers = bootstrap
        .iter()
        .flat_map(|peer| ["--bootstrap", peer.as_str()]);
    core::iter::once("init").chain(peers).collect()
}

/// A port that nobody has now, neither for UDP nor for TCP.
pub(crate) fn free_port() -> u16 {
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("its number");
        if StdTcpListener::bind(address).is_ok() {
            return address.port();
        }
    }
}
