//! Connecting to the first of several addresses that answers (RFC 8305, section 5).

use crate::ExitFailure;
use core::future::Future;
use core::net::{IpAddr, SocketAddr};
use core::pin::Pin;
use core::time::Duration;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// An attempt under way; dropping it gives it up.
pub type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Opens TCP connections. There to be replaced in tests, or by an operator's own routing.
pub trait Dial: Send + Sync + 'static {
    /// Starts an attempt to connect to an address that has been judged.
    fn dial(&self, address: SocketAddr) -> Attempt;
}

/// The operating system's sockets, without Nagle's delay.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemDialer;

impl Dial for SystemDialer {
    fn dial(&self, address: SocketAddr) -> Attempt {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
    }
}

/// Puts addresses in the order in which to try them: the families in turn, starting with that of
/// the first address, and otherwise in the resolver's order; without repeats.
pub(crate) fn interleave(addresses: impl IntoIterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut distinct: Vec<IpAddr> = Vec::new();
    for address in addresses {
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    let starts_with_v6 = distinct.first().is_some_and(IpAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) = distinct
        .into_iter()
        .partition(|address| address.is_ipv6() == starts_with_v6);
    let mut order = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.drain(..), second.drain(..));
    loop {
        let before = order.len();
        order.extend(first.next());
        order.extend(second.next());
        if order.len() == before {
            return order;
        }
    }
}

/// Connects to the first address that answers. The next attempt starts when one fails, or `delay`
/// after the one before; the others are given up when one succeeds.
///
/// May take for ever: the caller sets the time limit.
pub(crate) async fn race(
    dialer: &Arc<dyn Dial>,
    addresses: Vec<SocketAddr>,
    delay: Duration,
) -> Result<TcpStream, ExitFailure> {
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut failure = ExitFailure::Internal;
    loop {
        if let Some(address) = waiting.next() {
            attempts.spawn(dialer.dial(address));
        }
        let next_is_due = sleep(delay);
        tokio::select! {
            biased;
            ended = attempts.join_next() => match ended {
                None => return Err(failure),
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => {
                    failure = failure.most_telling(ExitFailure::of_connecting(&error));
                }
                // A dialer that panicked.
                Some(Err(_)) => {}
            },
            () = next_is_due, if waiting.len() > 0 => {}
        }
    }
}
