//! SOCKS5 as a program that we did not write speaks it: curl.

use crate::support::{Proxy, Stub, tcp_server};
use coinfuse::connect::{ConnectError, Isolation, Target};
use std::process::Output;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

const BODY: &[u8] = b"through the proxy\n";

/// An HTTP server that knows one page and closes after it.
async fn web(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await.unwrap() > 2 {
        line.clear();
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(BODY).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// Runs curl; `None`, said aloud, on a machine that has none.
async fn curl(proxy: &Proxy, credentials: &str) -> Option<Output> {
    let through = format!("{credentials}{}", proxy.address);
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--max-time",
        "20",
        "--noproxy",
        "",
    ]);
    command.args([
        "--socks5-hostname",
        &through,
        "http://service.example:8080/page",
    ]);
    match command.output().await {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: curl does not run here: {error}");
            None
        }
    }
}

#[tokio::test]
async fn curl_gets_a_page_and_the_name_is_not_resolved_here() {
    let proxy = Proxy::new(Stub::reaching(tcp_server(web).await)).await;
    let Some(output) = curl(&proxy, "").await else {
        return;
    };
    assert_eq!(
        output.stdout,
        BODY,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let target = "service.example:8080".parse::<Target>().unwrap();
    assert!(proxy.stub.asked() == [(target, Isolation::NONE)]);
}

#[tokio::test]
async fn curls_credentials_isolate() {
    let proxy = Proxy::new(Stub::reaching(tcp_server(web).await)).await;
    for credentials in ["alice:one@", "alice:two@", "alice:one@"] {
        let Some(output) = curl(&proxy, credentials).await else {
            return;
        };
        assert_eq!(
            output.stdout,
            BODY,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let labels: Vec<_> = proxy
        .stub
        .asked()
        .into_iter()
        .map(|(_, label)| label)
        .collect();
    assert_eq!(labels[0], Isolation::from_credentials(b"alice", b"one"));
    assert_ne!(labels[0], labels[1]);
    assert_eq!(labels[0], labels[2]);
}

#[tokio::test]
async fn curl_reports_the_reply_code() {
    const COULD_NOT_CONNECT_THROUGH_PROXY: i32 = 97;
    let proxy = Proxy::new(Stub::failing(ConnectError::Policy)).await;
    let Some(output) = curl(&proxy, "").await else {
        return;
    };
    assert_eq!(output.status.code(), Some(COULD_NOT_CONNECT_THROUGH_PROXY));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("(2)"), "{text}");
}
