//! A stream is carried while everything is logged, and the log does not know where it went.

use crate::support::{Neighbour, PATIENCE, Proxy, Stub, dialler, echo_at_the_end, tcp_server};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_targets_nor_credentials_nor_addresses_are_logged_at_any_level() {
    let captured = Captured::default();
    let sink = captured.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || sink.clone());
    let filter = coinfuse::logging::filter(LevelFilter::TRACE, "it");
    let _guard =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(lines).with(filter));
    tracing::info!("the log is on");

    let proxy = Proxy::new(Stub::reaching(tcp_server(echo_at_the_end).await)).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let application = stream.local_addr().unwrap();
    let request = b"\x05\x01\x02\x01\x05alice\x06sesame\x05\x01\x00\x03\x0esecret.example\x00\x50";
    stream.write_all(request).await.unwrap();
    stream.shutdown().await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();

    let mut relay = Neighbour::new(1);
    let other = coinfuse::link::LinkSecret::from_seed([2; 32]).key();
    let dialler = dialler();
    dialler
        .dial(&[relay.address], other, PATIENCE)
        .await
        .unwrap_err();
    dialler
        .dial(&[relay.address], relay.key, PATIENCE)
        .await
        .unwrap();
    tracing::info!("accepted {:?}", relay.links.recv().await.unwrap());

    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("the log is on") && log.contains("another link key"),
        "{log}"
    );
    let client = dialler.local_address().unwrap();
    for secret in [
        "secret.example",
        "alice",
        "sesame",
        &format!(":{}", application.port()),
    ] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
    assert!(
        !log.contains(&format!(":{}", client.port())),
        "the client is in the log: {log}"
    );
}
