//! A mint, its payer and the books may each be in a process of their own.

use std::time::Duration;

use coinfuse_mint::loopback::line::Refusal;
use coinfuse_mint::loopback::{NetworkError, PayError};
use coinfuse_mint::{LoopbackLightning, Unit};
use coinfuse_wire::Msat;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{buy, mint_of, wallet_at};

async fn books() -> (LoopbackLightning, coinfuse_mint::loopback::LoopbackServer) {
    let network = LoopbackLightning::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = network.serve(listener).expect("a door");
    (network, server)
}

#[tokio::test]
async fn a_mint_and_a_payer_far_from_the_books_do_business() {
    let (here, server) = books().await;
    let there = LoopbackLightning::connect(server.local_addr())
        .await
        .expect("the network");
    let (mint, _folder) = mint_of(&there, Unit::Msat).await;
    let wallet = wallet_at(&mint).await;
    let payer = there.wallet(Msat::new(500)).await.expect("a wallet");

    let bought = buy(&wallet, &payer, 300);
    tokio::time::timeout(Duration::from_secs(2), bought)
        .await
        .expect("no polling");

    assert_eq!(
        mint.totals().await.expect("totals").outstanding(),
        Some(Msat::new(300))
    );
    assert_eq!(payer.balance().await.expect("a balance"), Msat::new(200));
    let payee = here.wallet(Msat::new(0)).await.expect("a wallet");
    let invoice = payee.invoice(Msat::new(201)).await.expect("an invoice");
    let refused = payer.pay(&invoice).await;
    let Err(PayError::Network(NetworkError::Refused(Refusal::NoFunds))) = refused else {
        panic!("{refused:?}");
    };
}

#[tokio::test]
async fn nonsense_is_answered_and_an_endless_line_is_cut_off() {
    let (_books, server) = books().await;
    let mut stream = TcpStream::connect(server.local_addr())
        .await
        .expect("a connection");
    stream
        .write_all(b"give me money\nhello\n")
        .await
        .expect("written");
    let mut answer = [0; 28];
    stream.read_exact(&mut answer).await.expect("two answers");
    assert_eq!(&answer, b"refused not-understood\ndone\n");

    stream.write_all(&[b'x'; 1_000]).await.expect("written");
    let mut rest = Vec::new();
    // The server hangs up; whether that reads as an end or as a reset is the system's affair.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn the_books_are_only_open_to_this_machine() {
    let network = LoopbackLightning::new();
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    assert!(matches!(
        network.serve(listener),
        Err(NetworkError::NotLoopback)
    ));
    let elsewhere = "192.0.2.1:9".parse().expect("an address");
    let connected = LoopbackLightning::connect(elsewhere).await;
    assert!(matches!(connected, Err(NetworkError::NotLoopback)));
}
