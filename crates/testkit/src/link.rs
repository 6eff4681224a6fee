//! A long and narrow path for UDP, in user space.
//!
//! Each direction is a queue with drop-tail, then a bottleneck, then a delay. The bottleneck is
//! arithmetic: a datagram of n bytes occupies it for 8n/rate seconds after those before it, so the
//! rate is exact however coarse the timer is; the timer only adds up to a millisecond of delay.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::background::{ANY_PORT, Background};

/// The kernel's buffers: 100 ms at 300 Mbit/s.
const SOCKET_BUFFER: usize = 4 << 20;
/// Datagrams between a socket and its queue; more are dropped, as a full queue would.
const INBOX: usize = 4_096;
/// Clients at once; datagrams of more are dropped.
const MAX_CLIENTS: usize = 256;
const MAX_DATAGRAM: usize = 65_535;

/// What the path is like, the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkConfig {
    /// From one end to the other. The round trip is twice that.
    pub delay: Duration,
    /// The bottleneck, in bits per second of UDP payload.
    pub bits_per_second: u64,
    /// How many bytes may wait for the bottleneck; a datagram that finds more is dropped.
    pub queue_bytes: u64,
    /// Every so many datagrams one is lost besides; 0 for none.
    pub lose_one_in: u64,
}

impl LinkConfig {
    /// A path with a queue of one round trip's worth of bytes, and no losses but those of the queue.
    pub fn new(delay: Duration, bits_per_second: u64) -> Self {
        let round_trip = delay.saturating_mul(2).as_micros();
        let queue = u128::from(bits_per_second) * round_trip / 8_000_000;
        Self {
            delay,
            bits_per_second: bits_per_second.max(1),
            queue_bytes: u64::try_from(queue).unwrap_or(u64::MAX).max(64 * 1024),
            lose_one_in: 0,
        }
    }
}

/// What has happened on a path, both directions together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Datagrams that came through.
    pub forwarded: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Datagrams that were lost, by the queue or on purpose.
    pub dropped: u64,
}

/// A path to a UDP server, on a thread of its own. It ends when this is dropped.
pub struct DelayedUdp {
    addr: SocketAddr,
    counters: Arc<Counters>,
    _background: Background,
}

#[derive(Default)]
struct Counters {
    forwarded: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
}

impl DelayedUdp {
    /// Opens a path whose far end is `server`; clients send to [`DelayedUdp::addr`].
    pub fn start(server: SocketAddr, config: LinkConfig) -> io::Result<Self> {
        let front = socket(ANY_PORT)?;
        let addr = front.local_addr()?;
        let counters = Arc::new(Counters::default());
        let path = Path {
            server,
            config,
            counters: Arc::clone(&counters),
        };
        let background = Background::run("link", move || async move {
            // An error of the front socket ends the path; senders see losses.
            let _ = path.run(front).await;
        })?;
        Ok(Self {
            addr,
            counters,
            _background: background,
        })
    }

    /// The near end.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What has happened so far.
    pub fn stats(&self) -> LinkStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LinkStats {
            forwarded: read(&self.counters.forwarded),
            bytes: read(&self.counters.bytes),
            dropped: read(&self.counters.dropped),
        }
    }
}

impl fmt::Debug for DelayedUdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayedUdp")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

fn socket(addr: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// A datagram on its way out of a socket.
struct Datagram {
    payload: Bytes,
    out: Arc<UdpSocket>,
    to: SocketAddr,
}

struct Path {
    server: SocketAddr,
    config: LinkConfig,
    counters: Arc<Counters>,
}

impl Path {
    async fn run(self, front: std::net::UdpSocket) -> io::Result<()> {
        let front = Arc::new(UdpSocket::from_std(front)?);
        let (up, from_clients) = mpsc::channel(INBOX);
        let (down, from_server) = mpsc::channel(INBOX);
        tokio::spawn(carry(
            from_clients,
            Lane::new(self.config, Arc::clone(&self.counters)),
        ));
        tokio::spawn(carry(
            from_server,
            Lane::new(self.config, Arc::clone(&self.counters)),
        ));
        let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            let (len, client) = front.recv_from(&mut buffer).await?;
            let out = match clients.get(&client) {
                Some(out) => Arc::clone(out),
                None if clients.len() >= MAX_CLIENTS => continue,
                None => {
                    let local = SocketAddr::new(front.local_addr()?.ip(), 0);
                    let back = Arc::new(UdpSocket::from_std(socket(local)?)?);
                    clients.insert(client, Arc::clone(&back));
                    let back_in = Arc::clone(&back);
                    tokio::spawn(receive(back_in, Arc::clone(&front), client, down.clone()));
                    back
                }
            };
            let payload = Bytes::copy_from_slice(&buffer[..len]);
            if up
                .try_send(Datagram {
                    payload,
                    out,
                    to: self.server,
                })
                .is_err()
            {
                self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Takes what the server sends to one client.
async fn receive(
    back: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    client: SocketAddr,
    down: mpsc::Sender<Datagram>,
) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        // An error here is an ICMP message about an earlier datagram.
        let Ok(len) = back.recv(&mut buffer).await else {
            continue;
        };
        let payload = Bytes::copy_from_slice(&buffer[..len]);
        let datagram = Datagram {
            payload,
            out: Arc::clone(&front),
            to: client,
        };
        if down.send(datagram).await.is_err() {
            return;
        }
    }
}

/// One direction: the queue, the bottleneck and the delay.
struct Lane {
    config: LinkConfig,
    counters: Arc<Counters>,
    /// When the bottleneck has nothing left to do.
    free_at: Option<Instant>,
    seen: u64,
    under_way: VecDeque<(Instant, Datagram)>,
}

impl Lane {
    fn new(config: LinkConfig, counters: Arc<Counters>) -> Self {
        Self {
            config,
            counters,
            free_at: None,
            seen: 0,
            under_way: VecDeque::new(),
        }
    }

    /// The time that so many bytes occupy the bottleneck.
    fn transit(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 8_000_000_000 / u128::from(self.config.bits_per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn accept(&mut self, now: Instant, datagram: Datagram) {
        self.seen += 1;
        // No number from 1 on is a multiple of 0.
        let lost = self.seen.is_multiple_of(self.config.lose_one_in);
        let start = self.free_at.map_or(now, |free_at| free_at.max(now));
        if lost || start - now > self.transit(self.config.queue_bytes) {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let free_at = start + self.transit(datagram.payload.len() as u64);
        self.free_at = Some(free_at);
        self.under_way
            .push_back((free_at + self.config.delay, datagram));
    }

    fn next_due(&self) -> Option<Instant> {
        self.under_way.front().map(|(due, _)| *due)
    }

    async fn deliver(&mut self, now: Instant) {
        while self.next_due().is_some_and(|due| due <= now) {
            let Some((_, datagram)) = self.under_way.pop_front() else {
                return;
            };
            // Counted first: whoever has received it finds it counted.
            let bytes = datagram.payload.len() as u64;
            self.counters.forwarded.fetch_add(1, Ordering::Relaxed);
            self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
            // An error is the receiver's being gone.
            let _ = datagram.out.send_to(&datagram.payload, datagram.to).await;
        }
    }
}

async fn carry(mut arrivals: mpsc::Receiver<Datagram>, mut lane: Lane) {
    loop {
        let due = lane.next_due();
        tokio::select! {
            arrival = arrivals.recv() => match arrival {
                Some(datagram) => lane.accept(Instant::now(), datagram),
                None => return,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                lane.deliver(Instant::now()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lane(config: LinkConfig) -> (Lane, Arc<UdpSocket>) {
        let out = UdpSocket::bind(ANY_PORT).await.expect("a socket");
        (Lane::new(config, Arc::default()), Arc::new(out))
    }

    fn datagram(out: &Arc<UdpSocket>, len: usize) -> Datagram {
        let to = out.local_addr().expect("an address");
        Datagram {
            payload: Bytes::from(vec![0; len]),
            out: Arc::clone(out),
            to,
        }
    }

    #[tokio::test]
    async fn the_bottleneck_sets_the_pace_and_the_delay_comes_on_top() {
        // 8 Mbit/s are a byte in a microsecond.
        let config = LinkConfig::new(Duration::from_millis(50), 8_000_000);
        let (mut lane, out) = lane(config).await;
        let now = Instant::now();
        for _ in 0..3 {
            lane.accept(now, datagram(&out, 1_000));
        }
        let due: Vec<_> = lane.under_way.iter().map(|(due, _)| *due - now).collect();
        assert_eq!(due, [51, 52, 53].map(Duration::from_millis));
    }

    #[tokio::test]
    async fn a_full_queue_drops_the_newcomer() {
        let config = LinkConfig {
            queue_bytes: 2_000,
            ..LinkConfig::new(Duration::ZERO, 8_000_000)
        };
        let (mut lane, out) = lane(config).await;
        let now = Instant::now();
        for _ in 0..10 {
            lane.accept(now, datagram(&out, 1_000));
        }
        // One in the bottleneck, two that wait.
        assert_eq!(lane.under_way.len(), 3);
        assert_eq!(lane.counters.dropped.load(Ordering::Relaxed), 7);
        // Ten milliseconds later there is room again.
        lane.accept(now + Duration::from_millis(10), datagram(&out, 1_000));
        assert_eq!(lane.under_way.len(), 4);
    }

    #[tokio::test]
    async fn one_in_so_many_is_lost() {
        let config = LinkConfig {
            lose_one_in: 4,
            ..LinkConfig::new(Duration::ZERO, 8_000_000_000)
        };
        let (mut lane, out) = lane(config).await;
        for _ in 0..8 {
            lane.accept(Instant::now(), datagram(&out, 100));
        }
        assert_eq!(lane.counters.dropped.load(Ordering::Relaxed), 2);
    }
}
