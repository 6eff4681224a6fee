//! Bytes to carry, and how to see that they arrived.

use crate::support::{PATIENCE, tcp_server};
use coinfuse::client::{Client, ClientError, Stream};
use coinfuse::connect::Isolation;
use coinfuse_testkit::{WebServer, web};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

pub(crate) const MIB: u64 = 1 << 20;

/// Bytes that went by.
pub(crate) type Progress = Arc<AtomicU64>;

/// Waits for `step`, and says what did not happen if it does not.
pub(crate) async fn soon<T>(what: &str, step: impl Future<Output = T>) -> T {
    let done = timeout(PATIENCE, step).await;
    done.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    soon(what, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Whoever gave this name.
pub(crate) fn isolation(name: &str) -> Isolation {
    Isolation::from_credentials(name.as_bytes(), b"")
}

pub(crate) async fn open(
    client: &Client,
    target: SocketAddr,
    isolation: Isolation,
) -> Result<Stream, ClientError> {
    let target = target.to_string().parse().unwrap();
    client.connect_isolated(&target, isolation).await
}

/// Downloads `size` bytes from the web server; their hash.
pub(crate) async fn download(
    client: &Client,
    web: SocketAddr,
    size: u64,
    isolation: Isolation,
    progress: &Progress,
) -> String {
    let mut stream = open(client, web, isolation).await.unwrap();
    let request = format!("GET /bytes/{size} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_until(b'\n', &mut header).await.unwrap(), 0);
    }
    let mut hash = Sha256::new();
    loop {
        let bytes = stream.fill_buf().await.unwrap();
        if bytes.is_empty() {
            return hex::encode(hash.finalize());
        }
        hash.update(bytes);
        let n = bytes.len();
        progress.fetch_add(n as u64, Relaxed);
        stream.consume(n);
    }
}

/// A download beside the test.
pub(crate) fn downloading(
    client: &Client,
    web: &WebServer,
    size: u64,
    isolation: Isolation,
) -> (Progress, tokio::task::JoinHandle<String>) {
    let (client, web, progress) = (client.clone(), web.addr(), Progress::default());
    let seen = Arc::clone(&progress);
    let task =
        tokio::spawn(async move { download(&client, web, size, isolation, &progress).await });
    (seen, task)
}

/// A server that answers with the hash of what it was sent.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    /// What it has received.
    pub(crate) received: Progress,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let received = Progress::default();
        let count = Arc::clone(&received);
        let address = tcp_server(move |mut stream| {
            let count = Arc::clone(&count);
            async move {
                let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
                while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                    hash.update(&buffer[..n]);
                    count.fetch_add(n as u64, Relaxed);
                }
                let hash = hex::encode(hash.finalize());
                let _gone = stream.write_all(hash.as_bytes()).await;
            }
        })
        .await;
        Self { address, received }
    }
}

/// Uploads `size` bytes; the hash of what arrived.
pub(crate) async fn upload(
    client: &Client,
    to: SocketAddr,
    size: u64,
    isolation: Isolation,
) -> String {
    let mut stream = open(client, to, isolation).await.unwrap();
    let mut left = size;
    while left > 0 {
        let n = left.min(web::BLOCK as u64);
        stream.write_all(&web::block()[..n as usize]).await.unwrap();
        left -= n;
    }
    stream.shutdown().await.unwrap();
    let mut hash = String::new();
    stream.read_to_string(&mut hash).await.unwrap();
    hash
}

/// An upload beside the test.
pub(crate) fn uploading(
    client: &Client,
    to: SocketAddr,
    size: u64,
    isolation: Isolation,
) -> tokio::task::JoinHandle<String> {
    let client = client.clone();
    tokio::spawn(async move { upload(&client, to, size, isolation).await })
}

/// What `size` bytes hash to, up or down.
pub(crate) fn hash_of(size: u64) -> String {
    web::sha256_hex(size)
}

/// Says something to an echo server and hears it.
pub(crate) async fn echo(
    client: &Client,
    to: SocketAddr,
    isolation: Isolation,
) -> Result<(), ClientError> {
    let mut stream = open(client, to, isolation).await?;
    stream.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
    Ok(())
}
