//! Real Bitcoin nodes on regtest, if there is a program for them.

mod regtest;

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use bitcoin::Txid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub use regtest::{Regtest, spend};

/// Where `bitcoind` is: what the environment variable `BITCOIND_EXE` says, if anything.
pub fn program() -> Option<OsString> {
    std::env::var_os("BITCOIND_EXE").filter(|path| !path.is_empty())
}

/// A node, with a folder of its own. It ends when this is dropped.
pub struct BitcoinNode {
    process: Child,
    folder: TempDir,
    p2p: SocketAddr,
    rpc: SocketAddr,
}

impl BitcoinNode {
    /// Starts a node that knows `others`, and waits until it answers.
    ///
    /// # Errors
    ///
    /// The program does not start.
    ///
    /// # Panics
    ///
    /// If it does not answer within a minute.
    pub async fn start(program: &OsString, others: &[&Self]) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (p2p, rpc) = (free_port()?, free_port()?);
        let mut command = Command::new(program);
        command
            .arg(format!("-datadir={}", folder.path().display()))
            .args(["-regtest", "-server", "-listen=1"])
            .args(["-dnsseed=0", "-fixedseeds=0"])
            .args(["-fallbackfee=0.0001", "-printtoconsole=0", "-v2transport=1"])
            // The second node hears of a transaction at once, not after some seconds.
            .arg("-whitelist=in,out,noban@127.0.0.1")
            .arg(format!("-bind={p2p}"))
            .arg(format!("-rpcbind={rpc}"))
            .arg("-rpcallowip=127.0.0.1")
            .arg(format!("-rpcport={}", rpc.port()));
        for other in others {
            command.arg(format!("-addnode={}", other.p2p));
        }
        let process = command.stdout(Stdio::null()).spawn()?;
        let node = Self {
            process,
            folder,
            p2p,
            rpc,
        };
        node.until("getblockcount", |_| true).await;
        Ok(node)
    }

    /// Where it listens for peers.
    pub const fn p2p(&self) -> SocketAddr {
        self.p2p
    }

    /// Where it listens for JSON-RPC.
    pub const fn rpc(&self) -> SocketAddr {
        self.rpc
    }

    /// What its JSON-RPC wants to see.
    pub fn cookie(&self) -> PathBuf {
        self.folder.path().join("regtest/.cookie")
    }

    /// Calls a method without parameters until the result is good; nodes have no other way to say
    /// that they are ready.
    ///
    /// # Panics
    ///
    /// If it is not within a minute.
    pub async fn until(&self, method: &str, good: impl Fn(&Value) -> bool) {
        for _ in 0..600 {
            if self.call(method, json!([])).await.is_some_and(|v| good(&v)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{method} did not come to what was waited for within a minute");
    }

    /// The result of a call, if it has one. Shares nothing with `coinfuse-delivery`, which it is
    /// there to test.
    pub async fn call(&self, method: &str, params: Value) -> Option<Value> {
        let cookie = std::fs::read_to_string(self.cookie()).ok()?;
        let auth = base64::prelude::BASE64_STANDARD.encode(cookie);
        let body = json!({ "id": 0, "method": method, "params": params }).to_string();
        let len = body.len();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {auth}\r\n\
             Content-Length: {len}\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(self.rpc).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        let mut answer: Value = serde_json::from_str(body).ok()?;
        let result = answer["result"].take();
        (!result.is_null()).then_some(result)
    }

    /// Whether a transaction is in its mempool.
    pub async fn has(&self, txid: Txid) -> bool {
        let mempool = self.call("getrawmempool", json!([])).await;
        let ids = mempool.as_ref().and_then(Value::as_array);
        ids.is_some_and(|ids| ids.contains(&json!(txid.to_string())))
    }
}

impl Drop for BitcoinNode {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
