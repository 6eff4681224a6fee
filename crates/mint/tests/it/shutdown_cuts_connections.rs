//! A mint that has stopped answers nobody, not even on connections that were open.

use std::time::Duration;

use coinfuse_mint::{LoopbackLightning, Unit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::mint_of;

const WEBSOCKET: &[u8] = b"GET /v1/ws HTTP/1.1\r\nhost: mint\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

#[tokio::test]
async fn websockets_and_idle_connections_end_with_the_mint() {
    let network = LoopbackLightning::new();
    let (mint, _folder) = mint_of(&network, Unit::Msat).await;
    let mut idle = TcpStream::connect(mint.local_addr())
        .await
        .expect("reached");
    let mut socket = TcpStream::connect(mint.local_addr())
        .await
        .expect("reached");
    socket.write_all(WEBSOCKET).await.expect("sent");
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 101");

    tokio::time::timeout(Duration::from_secs(3), mint.shutdown())
        .await
        .expect("a prompt end");

    let mut rest = Vec::new();
    for stream in [&mut idle, &mut socket] {
        let end = tokio::time::timeout(Duration::from_secs(1), stream.read_to_end(&mut rest));
        let _ = end.await.expect("the connection ends");
    }
}
