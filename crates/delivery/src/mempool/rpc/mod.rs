//! Handing a submission to a node of one's own, by JSON-RPC.

mod auth;
mod http;

pub use auth::RpcAuth;

use super::reason::classify;
use super::{Answer, Rejection, Submission};
use crate::{Dial, SystemDialer};
use core::net::SocketAddr;
use core::time::Duration;
use serde_json::{Value, json};
use std::sync::Arc;
use thiserror::Error;
use tokio::time::timeout;

/// Without this a node refuses what pays more than 0.1 BTC per 1000 vbytes, or into an output that
/// nobody can spend: a protection of its own wallet's user. The P2P protocol has nothing like it,
/// and the sender signed.
const ANY_FEE_RATE: u32 = 0;
const ANY_BURN: u32 = 21_000_000;

/// Where a node is, and how to be listened to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RpcConfig {
    /// The node's RPC address. Plain HTTP: on this machine, or through a tunnel.
    pub address: SocketAddr,
    /// What to show it.
    pub auth: RpcAuth,
    /// For one call, from connecting to the end of its answer. Default 30 s.
    pub timeout: Duration,
}

impl RpcConfig {
    /// The defaults, for this node.
    pub fn new(address: SocketAddr, auth: RpcAuth) -> Self {
        Self {
            address,
            auth,
            timeout: Duration::from_secs(30),
        }
    }
}

/// Why there is no answer from the node. The relay's operator must act; the sender may try another
/// relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RpcError {
    /// No connection, or it broke.
    #[error("the node cannot be reached, or hung up")]
    Unreachable,
    /// No complete answer in time.
    #[error("the node did not answer in time")]
    TimedOut,
    /// The cookie cannot be read.
    #[error("the node's cookie file cannot be read")]
    Cookie,
    /// The node does not accept the credentials.
    #[error("the node does not accept the user or the password")]
    Unauthorized,
    /// The node is starting.
    #[error("the node is starting")]
    WarmingUp,
    /// More than any answer to these calls has.
    #[error("the answer is too long")]
    TooLong,
    /// Not HTTP, or no JSON-RPC inside.
    #[error("the answer is not one of a node's JSON-RPC")]
    NotRpc,
    /// An HTTP status without a JSON-RPC answer, such as 503 for too many requests.
    #[error("the node answered with HTTP status {0}")]
    Status(u16),
    /// An error that is not about the transaction.
    #[error("the node answered with RPC error {0}")]
    Node(i64),
    /// The answer is about another transaction.
    #[error("the node answered about another transaction")]
    OtherTransaction,
}

/// An error that the node gave: Core's `RPC_*` number, and words.
struct NodeError {
    code: i64,
    message: String,
}

/// Core's `protocol.h`.
const RPC_VERIFY_ERROR: i64 = -25;
const RPC_VERIFY_REJECTED: i64 = -26;
const RPC_VERIFY_ALREADY_IN_UTXO_SET: i64 = -27;
const RPC_DESERIALIZATION_ERROR: i64 = -22;
const RPC_IN_WARMUP: i64 = -28;

/// Hands submissions to one node by JSON-RPC.
#[derive(Clone)]
pub struct Rpc {
    config: RpcConfig,
    dialer: Arc<dyn Dial>,
}

impl Rpc {
    /// Uses the operating system's sockets.
    pub fn new(config: RpcConfig) -> Self {
        Self {
            config,
            dialer: Arc::new(SystemDialer),
        }
    }

    /// Hands a submission over and says what the node makes of it.
    pub async fn submit(&self, submission: &Submission) -> Result<Answer, RpcError> {
        if let Some(class) = self.test(submission).await? {
            return Ok(class.into());
        }
        if submission.is_package() {
            self.submit_package(submission).await
        } else {
            self.send(submission).await
        }
    }

    /// Why the node would refuse a single transaction, which `sendrawtransaction` does not say of
    /// one it knows. Of a package's child only whether it is known: the rest depends on its parent.
    async fn test(&self, submission: &Submission) -> Result<Option<Rejection>, RpcError> {
        let child = submission.last();
        let params = json!([[hex::encode(child.bytes())], ANY_FEE_RATE]);
        let result = match self.call("testmempoolaccept", params).await? {
            Ok(result) => result,
            Err(error) => return error.class().map(Some),
        };
        let verdict = result.get(0).ok_or(RpcError::NotRpc)?;
        expect_id(verdict, "txid", submission)?;
        if verdict["allowed"] == true {
            return Ok(None);
        }
        let class = classify(verdict["reject-reason"].as_str().unwrap_or_default());
        let counts = !submission.is_package() || class == Rejection::AlreadyKnown;
        Ok(counts.then_some(class))
    }

    async fn send(&self, submission: &Submission) -> Result<Answer, RpcError> {
        let transaction = hex::encode(submission.last().bytes());
        let params = json!([transaction, ANY_FEE_RATE, ANY_BURN]);
        match self.call("sendrawtransaction", params).await? {
            Ok(txid) if txid == submission.txid().to_string() => {
                Ok(Answer::Accepted(submission.txid()))
            }
            Ok(_) => Err(RpcError::OtherTransaction),
            Err(error) => Ok(error.class()?.into()),
        }
    }

    async fn submit_package(&self, submission: &Submission) -> Result<Answer, RpcError> {
        let transactions: Vec<String> = submission
            .transactions()
            .iter()
            .map(|transaction| hex::encode(transaction.bytes()))
            .collect();
        let params = json!([transactions, ANY_FEE_RATE, ANY_BURN]);
        let result = match self.call("submitpackage", params).await? {
            Ok(result) => result,
            Err(error) => return Ok(error.class()?.into()),
        };
        let message = result["package_msg"].as_str().ok_or(RpcError::NotRpc)?;
        let results = &result["tx-results"];
        let of_child = &results[submission.wtxid().to_string()];
        expect_id(of_child, "txid", submission)?;
        if message == "success" && of_child["error"].is_null() {
            return Ok(Answer::Accepted(submission.txid()));
        }
        Ok(package_class(submission, results, message).into())
    }

    /// One call, on a connection of its own.
    async fn call(
        &self,
        method: &str,
        params: Value,
    ) -> Result<Result<Value, NodeError>, RpcError> {
        let body = json!({ "jsonrpc": "1.0", "id": 1, "method": method, "params": params });
        let exchange = self.exchange(body.to_string());
        let response = timeout(self.config.timeout, exchange)
            .await
            .map_err(|_| RpcError::TimedOut)??;
        read_answer(response)
    }

    async fn exchange(&self, body: String) -> Result<http::Response, RpcError> {
        let authorization = self.config.auth.header().await?;
        let dialed = self.dialer.dial(self.config.address).await;
        let mut stream = dialed.map_err(|_| RpcError::Unreachable)?;
        http::post(&mut stream, &authorization, body.as_bytes()).await
    }
}

fn read_answer(response: http::Response) -> Result<Result<Value, NodeError>, RpcError> {
    if response.status == 401 {
        return Err(RpcError::Unauthorized);
    }
    let parsed = serde_json::from_slice::<Value>(&response.body);
    let Ok(mut answer) = parsed else {
        return Err(match response.status {
            200 => RpcError::NotRpc,
            other => RpcError::Status(other),
        });
    };
    if let Some(code) = answer["error"]["code"].as_i64() {
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        let message = message.to_owned();
        return Ok(Err(NodeError { code, message }));
    }
    match answer.get_mut("result") {
        Some(result) => Ok(Ok(result.take())),
        None => Err(RpcError::NotRpc),
    }
}

fn expect_id(value: &Value, name: &str, submission: &Submission) -> Result<(), RpcError> {
    match value[name].as_str() {
        Some(txid) if txid == submission.txid().to_string() => Ok(()),
        Some(_) => Err(RpcError::OtherTransaction),
        None => Err(RpcError::NotRpc),
    }
}

/// The reason that says most. A child whose parent was refused misses its inputs, which says
/// nothing; and a node that does not look at the single transactions says why of the package.
fn package_class(submission: &Submission, results: &Value, message: &str) -> Rejection {
    let reasons = submission.transactions().iter().filter_map(|transaction| {
        let result = &results[transaction.wtxid().to_string()];
        result["error"].as_str()
    });
    let telling = |reason: &&str| {
        *reason != "package-not-validated" && classify(reason) != Rejection::MissingInputs
    };
    // The parent comes first.
    let all: Vec<&str> = reasons.collect();
    let reason = all.iter().copied().find(|reason| telling(reason));
    match (reason, message) {
        (Some(reason), _) => classify(reason),
        (None, "transaction failed") => Rejection::MissingInputs,
        (None, message) => classify(message),
    }
}

impl NodeError {
    /// The class, if it is about the transaction.
    fn class(&self) -> Result<Rejection, RpcError> {
        match self.code {
            RPC_VERIFY_ERROR | RPC_VERIFY_REJECTED => Ok(self.class_of_message()),
            RPC_VERIFY_ALREADY_IN_UTXO_SET => Ok(Rejection::AlreadyKnown),
            RPC_DESERIALIZATION_ERROR => Ok(Rejection::Malformed),
            RPC_IN_WARMUP => Err(RpcError::WarmingUp),
            other => Err(RpcError::Node(other)),
        }
    }

    /// `sendrawtransaction` says "Inputs missing or spent" where all others give a reason.
    fn class_of_message(&self) -> Rejection {
        if self.message.contains("nputs missing or spent") {
            return Rejection::MissingInputs;
        }
        classify(&self.message)
    }
}
