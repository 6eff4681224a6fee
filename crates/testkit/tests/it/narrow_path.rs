//! The UDP path has the delay and the rate that it was given.

use std::time::{Duration, Instant};

use coinfuse_testkit::{DelayedUdp, LinkConfig};
use tokio::net::UdpSocket;

const PAYLOAD: usize = 1_250;

async fn ends(config: LinkConfig) -> (UdpSocket, UdpSocket, DelayedUdp) {
    let server = UdpSocket::bind("127.0.0.1:0").await.expect("a server");
    let path = DelayedUdp::start(server.local_addr().expect("an address"), config).expect("a path");
    let client = UdpSocket::bind("127.0.0.1:0").await.expect("a client");
    client.connect(path.addr()).await.expect("connected");
    (client, server, path)
}

#[tokio::test]
async fn a_round_trip_takes_twice_the_delay() {
    let config = LinkConfig::new(Duration::from_millis(50), 100_000_000);
    let (client, server, path) = ends(config).await;
    let start = Instant::now();

    client.send(b"ping").await.expect("sent");
    let mut buffer = [0; 64];
    let (len, from) = server.recv_from(&mut buffer).await.expect("received");
    server
        .send_to(&buffer[..len], from)
        .await
        .expect("sent back");
    let len = client.recv(&mut buffer).await.expect("received");

    assert_eq!(&buffer[..len], b"ping");
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(100), "{took:?}");
    assert_eq!(path.stats().forwarded, 2);
}

#[tokio::test]
async fn the_bottleneck_passes_its_rate_and_no_more() {
    // 100 Mbit/s are 10,000 datagrams of 1,250 bytes in a second; a quarter of a second's worth.
    let mut config = LinkConfig::new(Duration::from_millis(5), 100_000_000);
    config.queue_bytes = 16 << 20;
    let (client, server, path) = ends(config).await;
    let start = Instant::now();
    let sender = tokio::spawn(async move {
        for _ in 0..2_500 {
            client.send(&[0; PAYLOAD]).await.expect("sent");
            // Loopback loses what a receiver is not scheduled to take.
            tokio::task::yield_now().await;
        }
        client
    });
    let mut buffer = [0; 2_000];
    let mut count = 0u32;
    let patience = Duration::from_millis(500);
    let mut last = start;
    while let Ok(Ok(_)) = tokio::time::timeout(patience, server.recv(&mut buffer)).await {
        count += 1;
        last = Instant::now();
    }
    let rate = f64::from(count) * PAYLOAD as f64 * 8.0 / (last - start).as_secs_f64();
    assert!(rate <= 100e6, "{rate}");
    // A busy machine's sockets may lose some, but not most.
    assert!(count > 1_000, "{count}");
    assert!(path.stats().forwarded >= u64::from(count));
    drop(sender.await.expect("all sent"));
}
