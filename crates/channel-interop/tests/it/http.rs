//! Requests to a mint, as text: no library of either side is between the test and the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The error of a request that was answered, but the answer did not arrive.
pub(crate) const LOST: &str = "the answer got lost";

/// Speaks HTTP with a mint; a connection per request.
#[derive(Debug, Clone)]
pub(crate) struct MintHttp {
    /// `HOST:PORT`.
    host: String,
    /// Whether the answer to the next swap that is made gets lost. Clones share it.
    loses: Arc<AtomicBool>,
}

impl MintHttp {
    pub(crate) fn new(url: &str) -> Self {
        let host = url.strip_prefix("http://").expect("a plain URL");
        Self {
            host: host.to_owned(),
            loses: Arc::default(),
        }
    }

    /// Has the next swap that the mint makes answered with [`LOST`].
    pub(crate) fn lose_next_swap(&self) {
        self.loses.store(true, Ordering::Relaxed);
    }

    /// The body of the answer to `GET path`; of a refusal as the error.
    pub(crate) async fn get(&self, path: &str) -> Result<String, String> {
        self.ask("GET", path, "").await
    }

    /// The body of the answer to `POST path`; of a refusal as the error.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Result<String, String> {
        let answer = self.ask("POST", path, body).await?;
        match path == "/v1/swap" && self.loses.swap(false, Ordering::Relaxed) {
            true => Err(LOST.to_owned()),
            false => Ok(answer),
        }
    }

    /// [`Self::get`] where a refusal is a broken test.
    pub(crate) async fn read(&self, path: &str) -> Value {
        json(&self.get(path).await.expect("the mint answers"))
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Result<String, String> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        let answer = self.exchange(&request).await.map_err(|e| e.to_string())?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP answer")?;
        match head.split(' ').nth(1) {
            Some("200") => Ok(body.to_owned()),
            _ => Err(body.to_owned()),
        }
    }

    async fn exchange(&self, request: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.host).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

/// What a JSON text says. Panics when it is none.
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
