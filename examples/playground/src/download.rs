//! One download through the circuit.

use crate::town::Town;
use anyhow::{Context, Result, bail};
use coinfuse::client::{Client, Stream};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

/// How long the channels of a circuit are waited for.
const CHANNELS_WITHIN: Duration = Duration::from_secs(5);

/// What was seen.
pub(crate) struct Download {
    /// Bytes of the body.
    pub(crate) size: u64,
    /// How long the circuit took to build, payments included.
    pub(crate) build: Duration,
    /// How long it took until every hop had a channel, its funding at the mint included.
    pub(crate) channels: Option<Duration>,
    /// From asking for a stream on the open circuit to the first byte of a small answer.
    pub(crate) first_byte: Duration,
    /// From the request to the end.
    pub(crate) total: Duration,
    /// Whether the body's hash is the one that the server's source has.
    pub(crate) hash_is_right: bool,
}

/// Downloads `size` bytes from the town's web server.
pub(crate) async fn run(town: &Town, size: u64, progress: bool) -> Result<Download> {
    let begun = now();
    let target = town.web.addr().to_string();
    town.client
        .prepare(&target.parse()?, coinfuse::connect::Isolation::NONE)
        .await?;
    let build = begun.elapsed();
    let channels = channels_that_pay(&town.client).await;

    let bar = if progress {
        bar(size)?
    } else {
        ProgressBar::hidden()
    };
    let requested = now();
    let mut stream = get(town, size).await?;
    stream.fill_buf().await?;
    let first_byte = requested.elapsed();
    let mut hash = Sha256::new();
    read_body(&mut stream, size, |bytes| {
        hash.update(bytes);
        bar.inc(bytes.len() as u64);
    })
    .await?;
    let total = requested.elapsed();
    bar.finish_and_clear();
    let hash_is_right = hex::encode(hash.finalize()) == coinfuse_testkit::web::sha256_hex(size);
    Ok(Download {
        size,
        build,
        channels,
        first_byte,
        total,
        hash_is_right,
    })
}

/// Waits a moment until the hops of the circuit are paid by channels; how long it took. A real client
/// does not wait: it pays by vouchers meanwhile.
async fn channels_that_pay(client: &Client) -> Option<Duration> {
    let begun = now();
    while begun.elapsed() < CHANNELS_WITHIN {
        let circuits = client.circuits();
        let hops = circuits.first()?.hops.iter();
        if hops
            .map(|hop| hop.channels.capacity)
            .all(|capacity| !capacity.is_zero())
        {
            return Some(begun.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    None
}

/// Sends a request for `size` bytes.
pub(crate) async fn get(town: &Town, size: u64) -> Result<Stream> {
    get_from(&town.client, town.web.addr(), size).await
}

/// The same, for a task of its own.
pub(crate) async fn get_from(client: &Client, address: SocketAddr, size: u64) -> Result<Stream> {
    let mut stream = client.connect(&address.to_string()).await?;
    ask(&mut stream, address, size).await?;
    Ok(stream)
}

/// Sends the request on a stream.
pub(crate) async fn ask(stream: &mut Stream, address: SocketAddr, size: u64) -> Result<()> {
    let request =
        format!("GET /bytes/{size} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    Ok(stream.write_all(request.as_bytes()).await?)
}

/// Reads past the header, then the body.
pub(crate) async fn read_body(
    stream: &mut Stream,
    size: u64,
    mut each: impl FnMut(&[u8]),
) -> Result<()> {
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut header).await? == 0 || header.len() > 4096 {
            bail!("the web server did not answer with a header");
        }
    }
    if !header.starts_with(b"HTTP/1.1 200") {
        bail!(
            "the web server refused: {}",
            String::from_utf8_lossy(&header)
        );
    }
    let mut left = size;
    while left > 0 {
        let bytes = stream.fill_buf().await.context("the download broke off")?;
        if bytes.is_empty() {
            bail!("the download ended {left} bytes early");
        }
        let n = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        each(&bytes[..n]);
        stream.consume(n);
        left -= n as u64;
    }
    Ok(())
}

fn bar(size: u64) -> Result<ProgressBar> {
    let style = "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}";
    Ok(ProgressBar::new(size).with_style(ProgressStyle::with_template(style)?))
}

/// The wall clock; what it times is the whole of the network.
#[allow(clippy::disallowed_methods, reason = "this program measures")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
