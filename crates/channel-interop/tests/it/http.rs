//! Requests to a mint, as text: no library of either side is between the test and the wire.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Speaks HTTP with a mint; a connection per request.
#[derive(Debug, Clone)]
pub(crate) struct MintHttp {
    /// `HOST:PORT`.
    host: String,
}

impl MintHttp {
    pub(crate) fn new(url: &str) -> Self {
        let host = url.strip_prefix("http://").expect("a plain URL");
        Self {
            host: host.to_owned(),
        }
    }

    /// The body of the answer to `GET path`; of a refusal as the error.
    pub(crate) async fn get(&self, path: &str) -> Result<String, String> {
        self.ask("GET", path, "").await
    }

    /// The body of the answer to `POST path`; of a refusal as the error.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Result<String, String> {
        self.ask("POST", path, body).await
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
