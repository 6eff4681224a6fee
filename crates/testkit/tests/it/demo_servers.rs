//! The web server and the raw TCP peers.

use coinfuse_testkit::{Peer, WebServer, web};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn get(server: &WebServer, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.addr()).await.expect("reached");
    let request = format!("GET {path} HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    answer
}

fn body(answer: &[u8]) -> &[u8] {
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    &answer[end + 4..]
}

#[tokio::test]
async fn the_bytes_have_the_published_hash() {
    let server = WebServer::start().expect("a server");
    let len = 3 * web::BLOCK as u64 + 17;

    let answer = get(&server, &format!("/bytes/{len}")).await;
    let hash = get(&server, &format!("/sha256/{len}")).await;

    let bytes = body(&answer);
    assert_eq!(bytes.len() as u64, len);
    assert!(
        bytes
            .chunks(web::BLOCK)
            .all(|chunk| *chunk == web::block()[..chunk.len()])
    );
    assert_eq!(
        body(&hash),
        format!("{}\n", web::sha256_hex(len)).as_bytes()
    );
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let server = WebServer::start().expect("a server");
    let mut stream = TcpStream::connect(server.addr()).await.expect("reached");
    let twice = "GET /hello HTTP/1.1\r\n\r\nHEAD /bytes/9 HTTP/1.1\r\n\r\nGET /no HTTP/1.1\r\nConnection: close\r\n\r\n";
    stream.write_all(twice.as_bytes()).await.expect("sent");

    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.expect("answers");

    let statuses = answers
        .lines()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 "));
    assert_eq!(
        statuses.collect::<Vec<_>>(),
        ["200 OK", "200 OK", "404 Not Found"]
    );
    assert!(answers.contains("\r\n\r\nhello\n"));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn the_echo_answers_and_the_source_never_ends() {
    let echo = Peer::echo().expect("an echo");
    let mut stream = TcpStream::connect(echo.addr()).await.expect("reached");
    stream.write_all(b"who is there?").await.expect("sent");
    stream.shutdown().await.expect("half-closed");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    assert_eq!(answer, b"who is there?");

    let source = Peer::source().expect("a source");
    let mut stream = TcpStream::connect(source.addr()).await.expect("reached");
    let mut two = vec![0; 2 * web::BLOCK];
    stream
        .read_exact(&mut two)
        .await
        .expect("more than one block");
    assert_eq!(&two[web::BLOCK..], web::block());
}

#[tokio::test]
async fn the_sink_stops_its_sender() {
    let sink = Peer::sink().expect("a sink");
    let mut stream = TcpStream::connect(sink.addr()).await.expect("reached");
    // More than any socket buffer takes: the write cannot end.
    let endless = vec![0; 256 << 20];
    let written = tokio::time::timeout(
        std::time::Duration::from_millis(300),
        stream.write_all(&endless),
    );
    assert!(written.await.is_err());
    assert_eq!(sink.connections(), 1);
}
