//! HTTP with accidents: what happens to money when a request or an answer is lost?

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::background::{ANY_PORT, TcpServer};

const MAX_HEAD: u64 = 64 * 1024;
const MAX_BODY: u64 = 16 << 20;

/// An accident that befalls one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The request never reaches the server; the client's connection breaks.
    DropRequest,
    /// The server does what was asked, and the client's connection breaks before the answer.
    DropAnswer,
    /// The request reaches the server this much later.
    Delay(Duration),
    /// The server gets the request twice, one after the other; the client gets the second answer.
    Duplicate,
}

/// A proxy in front of an HTTP server, on a thread of its own. It ends when this is dropped.
///
/// Without faults it hands everything on as it is, WebSockets included.
pub struct FaultProxy {
    shared: Arc<Shared>,
    server: TcpServer,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    target: Option<SocketAddr>,
    faults: Vec<(String, Fault)>,
    answered: HashMap<String, u64>,
}

impl FaultProxy {
    /// Starts one on an ephemeral loopback port, with nothing behind it yet.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let inner = Arc::clone(&shared);
        let server = TcpServer::start("fault-proxy", ANY_PORT, move |client| {
            let shared = Arc::clone(&inner);
            async move {
                // An error breaks the connection, which is all that it means.
                let _ = handle(client, &shared).await;
            }
        })?;
        Ok(Self { shared, server })
    }

    /// Sets the server behind it.
    pub fn aim(&self, target: SocketAddr) {
        self.shared.lock().target = Some(target);
    }

    /// The URL in front, without a `/` at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.addr())
    }

    /// Lets `fault` befall the next request whose path begins with `path`. Several faults for the
    /// same path befall one request each, in this order.
    pub fn next(&self, path: &str, fault: Fault) {
        self.shared.lock().faults.push((path.to_owned(), fault));
    }

    /// How many faults wait for their request.
    pub fn waiting(&self) -> usize {
        self.shared.lock().faults.len()
    }

    /// How many requests for exactly this path the server has answered, whatever became of the
    /// answers; duplicates count twice.
    pub fn answered(&self, path: &str) -> u64 {
        self.shared.lock().answered.get(path).copied().unwrap_or(0)
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("addr", &self.server.addr())
            .finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_fault(&self, path: &str) -> Option<Fault> {
        let faults = &mut self.lock().faults;
        let index = faults
            .iter()
            .position(|(prefix, _)| path.starts_with(prefix.as_str()))?;
        Some(faults.remove(index).1)
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        let target = self.lock().target.ok_or(io::ErrorKind::NotConnected)?;
        let stream = TcpStream::connect(target).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Sends a request on a connection of its own and reads the answer to its end.
    async fn exchange(&self, request: &Request) -> io::Result<Vec<u8>> {
        let mut server = self.dial().await?;
        server.write_all(&request.bytes).await?;
        let mut answer = Vec::new();
        (&mut server)
            .take(MAX_BODY + MAX_HEAD)
            .read_to_end(&mut answer)
            .await?;
        *self
            .lock()
            .answered
            .entry(request.path.clone())
            .or_default() += 1;
        Ok(answer)
    }
}

struct Request {
    path: String,
    bytes: Vec<u8>,
    upgrade: bool,
}

/// One request per connection: the request is made to say `connection: close`, so the answer does
/// too, and the client comes back on a new one.
async fn handle(client: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let request = read_request(&mut client).await?;
    let fault = shared.take_fault(&request.path);
    if let Some(Fault::Delay(by)) = fault {
        tokio::time::sleep(by).await;
    }
    if fault == Some(Fault::DropRequest) {
        return Ok(());
    }
    if request.upgrade {
        let mut server = shared.dial().await?;
        server.write_all(&request.bytes).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    let mut answer = shared.exchange(&request).await?;
    if fault == Some(Fault::Duplicate) {
        answer = shared.exchange(&request).await?;
    }
    if fault == Some(Fault::DropAnswer) {
        return Ok(());
    }
    client.get_mut().write_all(&answer).await?;
    client.get_mut().shutdown().await
}

async fn read_request(client: &mut BufReader<TcpStream>) -> io::Result<Request> {
    let (mut head, mut length, mut upgrade) = (Vec::new(), 0, false);
    let mut limited = client.take(MAX_HEAD);
    let mut path = None;
    loop {
        let mut line = String::new();
        if limited.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(first) = path.clone() else {
            path = Some(
                line.split(' ')
                    .nth(1)
                    .ok_or(io::ErrorKind::InvalidData)?
                    .to_owned(),
            );
            head.extend_from_slice(line.as_bytes());
            continue;
        };
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "" => return finish_request(client, head, first, length, upgrade).await,
            "connection" if !value.to_ascii_lowercase().contains("upgrade") => continue,
            "content-length" => {
                length = value
                    .trim()
                    .parse()
                    .map_err(|_| io::ErrorKind::InvalidData)?;
            }
            "upgrade" => upgrade = true,
            _ => {}
        }
        head.extend_from_slice(line.as_bytes());
    }
}

async fn finish_request(
    client: &mut BufReader<TcpStream>,
    mut bytes: Vec<u8>,
    path: String,
    length: u64,
    upgrade: bool,
) -> io::Result<Request> {
    if length > MAX_BODY {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let end: &[u8] = if upgrade {
        b"\r\n"
    } else {
        b"connection: close\r\n\r\n"
    };
    bytes.extend_from_slice(end);
    let read = client.take(length).read_to_end(&mut bytes).await?;
    if read as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Request {
        path,
        bytes,
        upgrade,
    })
}
