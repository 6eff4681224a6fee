//! A web server that costs little: what demonstrations download from and compare against.
//!
//! | path | answer |
//! |---|---|
//! | `/hello` | `hello` and a line feed |
//! | `/bytes/N` | N bytes that look random and are always the same |
//! | `/sha256/N` | the SHA-256 of those, in hex, and a line feed |
//!
//! HTTP/1.1 with keep-alive, GET and HEAD, no more.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::background::{ANY_PORT, TcpServer};

/// The body of `/bytes/N` repeats a block of this many bytes.
pub const BLOCK: usize = 1 << 20;
/// The longest request, in bytes.
const MAX_HEAD: u64 = 16 * 1024;
/// The largest N; a terabyte takes long enough.
const MAX_BYTES: u64 = 1 << 40;

/// A web server on a thread of its own. It ends when this is dropped.
pub struct WebServer {
    server: TcpServer,
}

impl WebServer {
    /// Starts one on an ephemeral loopback port.
    pub fn start() -> io::Result<Self> {
        Self::bind(ANY_PORT)
    }

    /// Starts one at `addr`.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        let server = TcpServer::start("web", addr, |stream| async {
            // An error is the client's going away.
            let _ = serve(stream).await;
        })?;
        Ok(Self { server })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// The URL of a path, which begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr())
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> u64 {
        self.server.connections()
    }
}

impl fmt::Debug for WebServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebServer")
            .field("addr", &self.addr())
            .finish()
    }
}

/// The first block of the body of `/bytes/N`; it goes on by repeating it.
pub fn block() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut words = std::iter::repeat_with(|| {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        words.by_ref().take(BLOCK / 8).flatten().collect()
    })
}

/// The hex of the SHA-256 of the body of `/bytes/N`.
pub fn sha256_hex(len: u64) -> String {
    let mut hasher = Sha256::new();
    for chunk in chunks(len) {
        hasher.update(chunk);
    }
    hex::encode(hasher.finalize())
}

/// The body of `/bytes/N` in pieces.
pub fn chunks(len: u64) -> impl Iterator<Item = &'static [u8]> + Send {
    let (whole, rest) = (len / BLOCK as u64, (len % BLOCK as u64) as usize);
    (0..whole)
        .map(|_| block())
        .chain((rest > 0).then(|| &block()[..rest]))
}

enum Page {
    Text(String),
    Bytes(u64),
    Missing,
}

fn page(path: &str) -> Page {
    let number = |text: &str| text.parse().ok().filter(|n| *n <= MAX_BYTES);
    match path.strip_prefix('/').unwrap_or_default().split_once('/') {
        None if path == "/hello" => Page::Text("hello\n".to_owned()),
        Some(("bytes", n)) => number(n).map_or(Page::Missing, Page::Bytes),
        Some(("sha256", n)) => {
            number(n).map_or(Page::Missing, |n| Page::Text(sha256_hex(n) + "\n"))
        }
        _ => Page::Missing,
    }
}

struct Head {
    method: String,
    path: String,
    close: bool,
}

async fn serve(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(head) = read_head(&mut stream).await? {
        let body = head.method == "GET";
        answer(stream.get_mut(), page(&head.path), body, head.close).await?;
        if head.close {
            break;
        }
    }
    stream.get_mut().shutdown().await
}

/// Reads a request's head; `None` when the client has hung up before it.
async fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Head>> {
    let mut limited = stream.take(MAX_HEAD);
    let mut line = String::new();
    if limited.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut close = false;
    loop {
        let mut header = String::new();
        if limited.read_line(&mut header).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match header.trim_end() {
            "" => {
                return Ok(Some(Head {
                    method,
                    path,
                    close,
                }));
            }
            header => close |= header.eq_ignore_ascii_case("connection: close"),
        }
    }
}

async fn answer(stream: &mut TcpStream, page: Page, body: bool, close: bool) -> io::Result<()> {
    let (status, kind, len) = match &page {
        Page::Text(text) => ("200 OK", "text/plain", text.len() as u64),
        Page::Bytes(len) => ("200 OK", "application/octet-stream", *len),
        Page::Missing => ("404 Not Found", "text/plain", 0),
    };
    let connection = if close { "close" } else { "keep-alive" };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len}\r\nconnection: {connection}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    match page {
        Page::Text(text) if body => stream.write_all(text.as_bytes()).await,
        Page::Bytes(len) if body => {
            for chunk in chunks(len) {
                stream.write_all(chunk).await?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
