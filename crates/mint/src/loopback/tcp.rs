//! The loopback network between processes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use coinfuse_wire::Msat;
use futures::{Stream, stream};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::io::{BufReader, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::ledger::Ledger;
use super::line::{Hash, LineError, MAX_LINE, NodeId, Refusal, Request, Response};
use super::{Books, LoopbackLightning, NetworkError, now};

/// Connections served at once; more are closed at once.
const MAX_CONNECTIONS: usize = 256;
/// How long a connection may say nothing, and an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause after a failed `accept`, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Reader = BufReader<ReadHalf<TcpStream>>;
type Writer = WriteHalf<TcpStream>;

/// A network's door for other processes. It closes when this is dropped.
#[derive(Debug)]
pub struct LoopbackServer {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl LoopbackServer {
    /// Where the others [connect](LoopbackLightning::connect) to.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for LoopbackServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl LoopbackLightning {
    /// Opens this network, whose books must be here, to other processes on this machine.
    /// The listener must be bound to a loopback address.
    pub fn serve(&self, listener: TcpListener) -> Result<LoopbackServer, NetworkError> {
        let addr = listener.local_addr()?;
        let Books::Here(ledger) = &self.books else {
            return Err(io::Error::other("another process keeps the books").into());
        };
        if !addr.ip().is_loopback() {
            return Err(NetworkError::NotLoopback);
        }
        let task = tokio::spawn(accept(listener, Arc::clone(ledger)));
        Ok(LoopbackServer { addr, task })
    }
}

async fn accept(listener: TcpListener, ledger: Arc<Ledger>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Dropped with this task, and all conversations with it.
    let mut conversations = tokio::task::JoinSet::new();
    loop {
        while conversations.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let ledger = Arc::clone(&ledger);
            conversations.spawn(async move {
                // An error is the other side's hanging up.
                let _ = converse(stream, &ledger).await;
                drop(place);
            });
        }
    }
}

async fn converse(stream: TcpStream, ledger: &Ledger) -> io::Result<()> {
    let (mut reader, mut writer) = split(stream)?;
    loop {
        let line = timeout(PATIENCE, read_line(&mut reader)).await??;
        let response = match line.map(|line| line.parse()) {
            None => return Ok(()),
            Some(Ok(Request::Watch { node, from })) => {
                return report(reader, writer, ledger, node, from).await;
            }
            Some(Ok(request)) => ledger.handle(now(), request),
            Some(Err(_)) => Response::Refused(Refusal::NotUnderstood),
        };
        write_line(&mut writer, &response.to_string()).await?;
    }
}

/// Tells of each payment until the other side hangs up.
async fn report(
    mut reader: Reader,
    mut writer: Writer,
    ledger: &Ledger,
    node: NodeId,
    from: u64,
) -> io::Result<()> {
    let mut bell = ledger.bell();
    let mut index = from;
    loop {
        bell.borrow_and_update();
        while let Some((hash, amount)) = ledger.received(&node, index) {
            let line = Response::Received {
                index,
                hash,
                amount,
            }
            .to_string();
            timeout(PATIENCE, write_line(&mut writer, &line)).await??;
            index = index.saturating_add(1);
        }
        tokio::select! {
            rung = bell.changed() => if rung.is_err() { return Ok(()) },
            // It has nothing more to say; if it speaks or leaves, we are done.
            _ = reader.read_u8() => return Ok(()),
        }
    }
}

/// Asks one question on a connection of its own.
pub(super) async fn ask(addr: SocketAddr, request: Request) -> Result<Response, NetworkError> {
    let asking = async {
        let (mut reader, mut writer) = dial(addr).await?;
        write_line(&mut writer, &request.to_string()).await?;
        let hung_up = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let answer = read_line(&mut reader).await?.ok_or_else(hung_up)?;
        Ok(answer.parse::<Response>()?)
    };
    timeout(PATIENCE, asking).await.map_err(io::Error::from)?
}

/// The payments of `node`, from the first on. The stream ends when the connection does.
pub(super) async fn watch(
    addr: SocketAddr,
    node: NodeId,
) -> Result<impl Stream<Item = (Hash, Msat)>, NetworkError> {
    let (reader, mut writer) = dial(addr).await?;
    write_line(&mut writer, &Request::Watch { node, from: 0 }.to_string()).await?;
    // The writer goes along: dropping it would hang up.
    Ok(stream::unfold(
        (reader, writer),
        |(mut reader, writer)| async move {
            let line = read_line(&mut reader).await.ok()??;
            match line.parse() {
                Ok(Response::Received { hash, amount, .. }) => {
                    Some(((hash, amount), (reader, writer)))
                }
                _ => None,
            }
        },
    ))
}

async fn dial(addr: SocketAddr) -> Result<(Reader, Writer), NetworkError> {
    if !addr.ip().is_loopback() {
        return Err(NetworkError::NotLoopback);
    }
    Ok(split(TcpStream::connect(addr).await?)?)
}

fn split(stream: TcpStream) -> io::Result<(Reader, Writer)> {
    stream.set_nodelay(true)?;
    let (reader, writer) = tokio::io::split(stream);
    Ok((BufReader::with_capacity(MAX_LINE, reader), writer))
}

/// Reads a line without its line feed; `None` at the end.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    reader
        .take(MAX_LINE as u64)
        .read_until(b'\n', &mut line)
        .await?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => String::from_utf8(line)
            .map(Some)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, LineError::NotALine)),
        Some(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            LineError::NotALine,
        )),
    }
}

async fn write_line(writer: &mut Writer, line: &str) -> io::Result<()> {
    writer.write_all(format!("{line}\n").as_bytes()).await
}
