//! SOCKS5 byte by byte: what is answered, what is refused, what is waited for.

use crate::support::{Proxy, Stub, echo_at_the_end, loopback, tcp_server};
use coinfuse::connect::{ConnectError, Isolation, Target};
use coinfuse::socks::{SocksLimits, SocksServer};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Version 5, one method: none.
const HELLO: &[u8] = &[5, 1, 0];
/// Version 5, CONNECT, reserved, name of 11 bytes, port 80.
const CONNECT: &[u8] = b"\x05\x01\x00\x03\x0bexample.com\x00\x50";
/// The reply with `code` and no bound address.
const fn reply(code: u8) -> [u8; 10] {
    [5, code, 0, 1, 0, 0, 0, 0, 0, 0]
}

/// Sends `bytes`, half-closes, and returns all that comes back.
async fn exchange(proxy: &Proxy, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_request_sent_in_one_piece_is_answered_and_half_closed_bytes_come_back() {
    let proxy = Proxy::new(Stub::reaching(tcp_server(echo_at_the_end).await)).await;
    let body = vec![0x5a; 1 << 20];
    let answer = exchange(&proxy, &[HELLO, CONNECT, &body].concat()).await;
    assert_eq!(answer[..12], [&[5, 0][..], &reply(0)].concat());
    assert!(
        answer[12..] == body,
        "the body came back changed, {} bytes",
        answer.len()
    );
    let target = "example.com:80".parse::<Target>().unwrap();
    assert!(proxy.stub.asked() == [(target, Isolation::NONE)]);
}

#[tokio::test]
async fn addresses_of_both_families_arrive_as_addresses() {
    let proxy = Proxy::new(Stub::failing(ConnectError::Policy)).await;
    let ipv4 = b"\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb";
    let ipv6 = b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb";
    // A literal in a name's place is an address too.
    let literal = b"\x05\x01\x00\x03\x09192.0.2.1\x01\xbb";
    for request in [&ipv4[..], ipv6, literal] {
        exchange(&proxy, &[HELLO, request].concat()).await;
    }
    let targets: Vec<_> = proxy
        .stub
        .asked()
        .into_iter()
        .map(|(target, _)| target)
        .collect();
    let wanted = ["192.0.2.1:443", "[2001:db8::1]:443", "192.0.2.1:443"];
    assert!(targets == wanted.map(|text| text.parse::<Target>().unwrap()));
}

#[tokio::test]
async fn every_failure_has_its_code() {
    for (error, code) in [
        (ConnectError::Failed, 1),
        (ConnectError::OutOfMoney, 1),
        (ConnectError::Policy, 2),
        (ConnectError::NetworkUnreachable, 3),
        (ConnectError::HostUnreachable, 4),
        (ConnectError::Refused, 5),
        (ConnectError::TimedOut, 6),
    ] {
        let proxy = Proxy::new(Stub::failing(error)).await;
        // The application was quick and sent data already: the reply must survive that.
        let answer = exchange(&proxy, &[HELLO, CONNECT, &[0; 4096]].concat()).await;
        assert_eq!(answer, [&[5, 0][..], &reply(code)].concat(), "{error}");
    }
}

#[tokio::test]
async fn credentials_isolate_and_all_are_accepted() {
    let proxy = Proxy::new(Stub::failing(ConnectError::Policy)).await;
    // Both methods are offered; credentials win, whatever the order.
    let with = |credentials: &[u8]| [&[5, 2, 0, 2][..], credentials, CONNECT].concat();
    let accepted = [&[5, 2, 1, 0][..], &reply(2)].concat();
    for credentials in [
        &b"\x01\x04user\x04pass"[..],
        b"\x01\x03use\x05rpass",
        b"\x01\x00\x00",
        b"\x01\x01\xff\x00",
    ] {
        assert_eq!(exchange(&proxy, &with(credentials)).await, accepted);
    }
    let labels: Vec<_> = proxy
        .stub
        .asked()
        .into_iter()
        .map(|(_, label)| label)
        .collect();
    let wanted = [
        (&b"user"[..], &b"pass"[..]),
        (b"use", b"rpass"),
        (b"", b""),
        (b"\xff", b""),
    ];
    assert_eq!(
        labels,
        wanted.map(|(user, pass)| Isolation::from_credentials(user, pass))
    );
}

#[tokio::test]
async fn bind_udp_and_unknown_commands_are_not_supported() {
    let proxy = Proxy::new(Stub::failing(ConnectError::Failed)).await;
    for command in [2, 3, 0xf0] {
        let mut request = CONNECT.to_vec();
        request[1] = command;
        let answer = exchange(&proxy, &[HELLO, &request].concat()).await;
        assert_eq!(
            answer,
            [&[5, 0][..], &reply(7)].concat(),
            "command {command}"
        );
    }
    assert!(proxy.stub.asked().is_empty());
}

#[tokio::test]
async fn malformed_requests_reach_nobody() {
    let proxy = Proxy::new(Stub::failing(ConnectError::Failed)).await;
    let no_acceptable_method = exchange(&proxy, &[5, 2, 1, 3]).await;
    assert_eq!(no_acceptable_method, [5, 0xff]);

    let empty_name = exchange(&proxy, &[HELLO, b"\x05\x01\x00\x03\x00\x00\x50"].concat()).await;
    assert_eq!(empty_name, [&[5, 0][..], &reply(4)].concat());

    let bad_name = exchange(
        &proxy,
        &[HELLO, b"\x05\x01\x00\x03\x03a b\x00\x50"].concat(),
    )
    .await;
    assert_eq!(bad_name, [&[5, 0][..], &reply(4)].concat());

    let bad_type = exchange(&proxy, &[HELLO, b"\x05\x01\x00\x09"].concat()).await;
    assert_eq!(bad_type, [&[5, 0][..], &reply(8)].concat());

    for silent in [
        &b""[..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[4, 1, 0, 80, 127, 0, 0, 1, 0],
    ] {
        assert_eq!(exchange(&proxy, silent).await, b"", "{silent:?}");
    }
    assert!(proxy.stub.asked().is_empty());
}

/// Every prefix of a good conversation, cut off: an answer or none, and never a stream.
#[tokio::test]
async fn truncated_requests_reach_nobody() {
    let proxy = Proxy::new(Stub::failing(ConnectError::Failed)).await;
    let whole = [&[5, 1, 2, 1, 4][..], b"user\x04pass", CONNECT].concat();
    for length in 0..whole.len() {
        exchange(&proxy, &whole[..length]).await;
    }
    assert!(proxy.stub.asked().is_empty());
    exchange(&proxy, &whole).await;
    assert_eq!(proxy.stub.asked().len(), 1);
}

#[tokio::test]
async fn the_longest_name_and_credentials_are_read_whole() {
    let proxy = Proxy::new(Stub::failing(ConnectError::Policy)).await;
    let name = [[b'a'; 63]; 4].join(&b'.')[..253].to_vec();
    let label = [b'l'; 255];
    let credentials = [&[1, 255][..], &label, &[255], &label].concat();
    let request = [&[5, 1, 0, 3, 253][..], &name, &[0, 80]].concat();
    exchange(&proxy, &[&[5, 1, 2][..], &credentials, &request].concat()).await;
    let target = format!("{}:80", String::from_utf8(name).unwrap())
        .parse::<Target>()
        .unwrap();
    assert!(proxy.stub.asked() == [(target, Isolation::from_credentials(&label, &label))]);

    // One more than a name can have, and a length that SOCKS can say.
    let too_long = [&[5, 1, 0, 3, 255][..], &label, &[0, 80]].concat();
    let answer = exchange(&proxy, &[HELLO, &too_long].concat()).await;
    assert_eq!(answer, [&[5, 0][..], &reply(4)].concat());
}

#[tokio::test]
async fn an_application_that_says_nothing_is_let_go() {
    let mut limits = SocksLimits::default();
    limits.handshake_timeout = Duration::from_millis(50);
    let proxy = Proxy::with_limits(Stub::failing(ConnectError::Failed), limits).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(HELLO).await.unwrap();
    let mut answer = Vec::new();
    // Ends because the proxy closes: this side sends no end.
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [5, 0]);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_those_within_live_on() {
    let mut limits = SocksLimits::default();
    limits.max_connections = 1;
    let echo = tcp_server(echo_at_the_end).await;
    let proxy = Proxy::with_limits(Stub::reaching(echo), limits).await;
    let mut first = TcpStream::connect(proxy.address).await.unwrap();
    first.write_all(HELLO).await.unwrap();
    let mut chosen = [0; 2];
    first.read_exact(&mut chosen).await.unwrap();

    let mut second = TcpStream::connect(proxy.address).await.unwrap();
    let mut nothing = Vec::new();
    assert!(matches!(
        second.read_to_end(&mut nothing).await,
        Ok(0) | Err(_)
    ));

    first.write_all(CONNECT).await.unwrap();
    let mut answer = [0; 10];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, reply(0));
}

#[tokio::test]
async fn a_broken_stream_is_a_reset_and_not_an_end() {
    let breaking = tcp_server(|mut stream: TcpStream| async move {
        stream.write_all(b"half an ans").await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    });
    let proxy = Proxy::new(Stub::reaching(breaking.await)).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(&[HELLO, CONNECT].concat()).await.unwrap();
    let mut begun = [0; 12 + 11];
    stream.read_exact(&mut begun).await.unwrap();
    stream.write_all(b"!").await.unwrap();
    let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_port_in_use_is_explained() {
    let proxy = Proxy::new(Stub::failing(ConnectError::Failed)).await;
    let error = SocksServer::bind(proxy.address, SocksLimits::default())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("another program has this port"),
        "{error}"
    );
    assert!(
        SocksServer::bind(loopback(), SocksLimits::default())
            .await
            .is_ok()
    );
}
