//! A node's JSON-RPC, played by a test: what it asks, what it makes of the answers, and accidents.

use super::{package, single, transaction};
use bitcoin::consensus::serialize;
use coinfuse_delivery::mempool::{
    Answer, Mempool, Rejection, Rpc, RpcAuth, RpcConfig, RpcError, Trouble, Way,
};
use core::net::SocketAddr;
use core::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const SEED: [u8; 32] = [4; 32];

/// Answers one connection after the other with these texts, and gives what it was asked.
async fn node(answers: Vec<String>) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            asked.push(read_request(&mut stream).await);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    });
    (address, asked)
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        stream.read_buf(&mut request).await.unwrap();
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let (_, len) = head.split_once("Content-Length: ").unwrap();
            let len: usize = len.lines().next().unwrap().parse().unwrap();
            if body.len() == len {
                return text.into_owned();
            }
        }
    }
}

fn http(status: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n{body}"
    )
}

fn result(result: &str) -> String {
    http(
        "200 OK",
        &format!(r#"{{"result":{result},"error":null,"id":1}}"#),
    )
}

fn error(code: i64, message: &str) -> String {
    let body =
        format!(r#"{{"result":null,"error":{{"code":{code},"message":"{message}"}},"id":1}}"#);
    http("500 Internal Server Error", &body)
}

fn rpc(address: SocketAddr) -> Rpc {
    let mut config = RpcConfig::new(address, RpcAuth::password("user", "secret"));
    config.timeout = Duration::from_secs(2);
    Rpc::new(config)
}

/// What becomes of one transaction with these answers to `testmempoolaccept` and what follows.
async fn submit(answers: Vec<String>) -> Result<Answer, RpcError> {
    let (address, _asked) = node(answers).await;
    rpc(address).submit(&single(&transaction(1, 1))).await
}

fn txid() -> String {
    transaction(1, 1).compute_txid().to_string()
}

fn allowed() -> String {
    result(&format!(r#"[{{"txid":"{}","allowed":true}}]"#, txid()))
}

fn not_allowed(reason: &str) -> String {
    let txid = txid();
    result(&format!(
        r#"[{{"txid":"{txid}","allowed":false,"reject-reason":"{reason}"}}]"#
    ))
}

#[tokio::test]
async fn a_transaction_is_tested_and_then_sent() {
    let sent = result(&format!("\"{}\"", txid()));
    let (address, asked) = node(vec![allowed(), sent]).await;
    let transaction = transaction(1, 1);
    let answer = rpc(address).submit(&single(&transaction)).await;
    assert_eq!(answer, Ok(Answer::Accepted(transaction.compute_txid())));

    let raw = hex::encode(serialize(&transaction));
    let asked = asked.await.unwrap();
    assert!(asked[0].starts_with("POST / HTTP/1.1\r\n"));
    // "user:secret"
    assert!(asked[0].contains("\r\nAuthorization: Basic dXNlcjpzZWNyZXQ=\r\n"));
    assert!(asked[0].contains(&format!(
        r#""method":"testmempoolaccept","params":[["{raw}"],0]"#
    )));
    assert!(asked[1].contains(r#""method":"sendrawtransaction""#));
    assert!(asked[1].contains(&format!(r#""params":["{raw}",0,21000000]"#)));
}

#[tokio::test]
async fn a_refused_transaction_is_not_sent_and_gets_its_class() {
    let cases = [
        ("txn-already-in-mempool", Rejection::AlreadyKnown),
        ("missing-inputs", Rejection::MissingInputs),
        ("txn-mempool-conflict", Rejection::Conflict),
        ("min relay fee not met", Rejection::FeeTooLow),
        ("non-final", Rejection::NotFinal),
        ("tx-size", Rejection::TooHeavy),
        ("dust", Rejection::Policy),
        ("bad-txns-in-belowout", Rejection::Invalid),
    ];
    for (reason, class) in cases {
        assert_eq!(submit(vec![not_allowed(reason)]).await, Ok(class.into()));
    }
}

#[tokio::test]
async fn a_transaction_refused_between_test_and_sending_gets_its_class() {
    let cases = [
        (-25, "Inputs missing or spent", Rejection::MissingInputs),
        (-26, "min relay fee not met, 10 < 141", Rejection::FeeTooLow),
        (
            -27,
            "Transaction outputs already in utxo set",
            Rejection::AlreadyKnown,
        ),
        (-22, "TX decode failed", Rejection::Malformed),
    ];
    for (code, message, class) in cases {
        let answers = vec![allowed(), error(code, message)];
        assert_eq!(submit(answers).await, Ok(class.into()), "{message}");
    }
}

#[tokio::test]
async fn a_package_is_submitted_whole() {
    let (parent, child, submission) = package(1);
    let txid = child.compute_txid();
    let test = format!(r#"[{{"txid":"{txid}","allowed":false,"reject-reason":"missing-inputs"}}]"#);
    let (of_parent, of_child) = (parent.compute_wtxid(), child.compute_wtxid());
    let done = format!(
        r#"{{"package_msg":"success","tx-results":{{"{of_parent}":{{"txid":"{}"}},"{of_child}":{{"txid":"{txid}"}}}}}}"#,
        parent.compute_txid(),
    );
    let (address, asked) = node(vec![result(&test), result(&done)]).await;
    let answer = rpc(address).submit(&submission).await;
    assert_eq!(answer, Ok(Answer::Accepted(txid)));
    let asked = asked.await.unwrap();
    let both = [&parent, &child].map(|t| format!("\"{}\"", hex::encode(serialize(t))));
    assert!(asked[1].contains(r#""method":"submitpackage""#));
    assert!(asked[1].contains(&format!("[[{}],0,21000000]", both.join(","))));
}

#[tokio::test]
async fn a_refused_package_gets_the_class_that_says_most() {
    let (parent, child, submission) = package(1);
    let txid = child.compute_txid();
    let test = format!(r#"[{{"txid":"{txid}","allowed":false,"reject-reason":"missing-inputs"}}]"#);
    let (of_parent, of_child) = (parent.compute_wtxid(), child.compute_wtxid());
    let refused = format!(
        r#"{{"package_msg":"transaction failed","tx-results":{{
        "{of_parent}":{{"txid":"{}","error":"min relay fee not met, 0 < 100"}},
        "{of_child}":{{"txid":"{txid}","error":"bad-txns-inputs-missingorspent"}}}}}}"#,
        parent.compute_txid(),
    );
    let (address, _asked) = node(vec![result(&test), result(&refused)]).await;
    let answer = rpc(address).submit(&submission).await;
    assert_eq!(answer, Ok(Rejection::FeeTooLow.into()));
}

#[tokio::test]
async fn an_answer_about_another_transaction_is_not_believed() {
    let other = "00".repeat(32);
    let answers = vec![allowed(), result(&format!("\"{other}\""))];
    assert_eq!(submit(answers).await, Err(RpcError::OtherTransaction));
    let tested = result(&format!(r#"[{{"txid":"{other}","allowed":true}}]"#));
    assert_eq!(submit(vec![tested]).await, Err(RpcError::OtherTransaction));
}

#[tokio::test]
async fn accidents_have_names() {
    let page = "<html>".to_owned();
    let cases = [
        (http("401 Unauthorized", ""), RpcError::Unauthorized),
        (http("503 Service Unavailable", ""), RpcError::Status(503)),
        (http("200 OK", "not json"), RpcError::NotRpc),
        (http("200 OK", "{}"), RpcError::NotRpc),
        (result("[]"), RpcError::NotRpc),
        (result("[{}]"), RpcError::NotRpc),
        (error(-28, "Loading block index"), RpcError::WarmingUp),
        (error(-32601, "Method not found"), RpcError::Node(-32601)),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), RpcError::NotRpc),
        (page, RpcError::NotRpc),
        (String::new(), RpcError::Unreachable),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_owned(),
            RpcError::Unreachable,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n".to_owned(),
            RpcError::TooLong,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_owned(),
            RpcError::NotRpc,
        ),
    ];
    for (answer, failure) in cases {
        assert_eq!(submit(vec![answer.clone()]).await, Err(failure), "{answer}");
    }
}

#[tokio::test]
async fn a_node_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let auth = RpcAuth::password("user", "secret");
    let mut config = RpcConfig::new(listener.local_addr().unwrap(), auth);
    config.timeout = Duration::from_millis(200);
    let answer = Rpc::new(config).submit(&single(&transaction(1, 1))).await;
    assert_eq!(answer, Err(RpcError::TimedOut));
}

#[tokio::test]
async fn a_node_that_is_down_makes_the_relay_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let submission = single(&transaction(1, 1));
    let rpc = rpc(address);
    assert_eq!(rpc.submit(&submission).await, Err(RpcError::Unreachable));
    let (told, mut tell) = tokio::sync::mpsc::unbounded_channel();
    let mempool = Mempool::new(Way::Node(rpc), 1).on_trouble(move |why| told.send(why).unwrap());
    let answer = mempool
        .deliver(&submission.encode(), Duration::ZERO, SEED)
        .await;
    assert_eq!(answer, Rejection::Unavailable.into());
    assert_eq!(tell.try_recv(), Ok(Trouble::Node(RpcError::Unreachable)));
}

/// What is the sender's fault, or nobody's, is no news for the operator.
#[tokio::test]
async fn a_node_that_refuses_a_transaction_is_no_trouble() {
    let (address, _asked) = node(vec![not_allowed("dust")]).await;
    let mempool = Mempool::new(Way::Node(rpc(address)), 1).on_trouble(|why| panic!("{why}"));
    let submission = single(&transaction(1, 1));
    let answer = mempool
        .deliver(&submission.encode(), Duration::ZERO, SEED)
        .await;
    assert_eq!(answer, Rejection::Policy.into());
}

#[tokio::test]
async fn the_cookie_is_read_anew_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".cookie");
    let answers = vec![not_allowed("dust"), not_allowed("dust")];
    let (address, asked) = node(answers).await;
    let rpc = Rpc::new(RpcConfig::new(address, RpcAuth::cookie(&path)));
    let submission = single(&transaction(1, 1));
    assert_eq!(rpc.submit(&submission).await, Err(RpcError::Cookie));
    for cookie in ["__cookie__:1", "__cookie__:2"] {
        std::fs::write(&path, cookie).unwrap();
        assert_eq!(rpc.submit(&submission).await, Ok(Rejection::Policy.into()));
    }
    let asked = asked.await.unwrap();
    assert!(asked[0].contains("Basic X19jb29raWVfXzox\r\n"));
    assert!(asked[1].contains("Basic X19jb29raWVfXzoy\r\n"));
}

#[test]
fn credentials_do_not_print() {
    let config = RpcConfig::new(
        ([127, 0, 0, 1], 1).into(),
        RpcAuth::password("me", "secret"),
    );
    assert!(!format!("{config:?}").contains("secret"));
}
