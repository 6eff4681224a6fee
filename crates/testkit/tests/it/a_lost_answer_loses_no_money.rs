//! Accidents between a wallet and a mint.

use std::time::{Duration, Instant};

use cdk::amount::SplitTarget;
use cdk::nuts::PaymentMethod;
use coinfuse_mint::LoopbackLightning;
use coinfuse_testkit::{Fault, FaultProxy, TestMint, Unit};
use coinfuse_wire::Msat;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{buy, wallet_at};

async fn behind_a_proxy() -> (TestMint, FaultProxy) {
    let proxy = FaultProxy::start().expect("a proxy");
    let network = LoopbackLightning::new();
    let mint = TestMint::start_with(&network, Unit::Msat, Some(proxy.url())).await;
    proxy.aim(mint.addr());
    (mint, proxy)
}

/// A GET by hand: `None` when the connection broke without an answer.
async fn get(proxy: &FaultProxy, path: &str) -> Option<String> {
    let addr = proxy.url();
    let mut stream = TcpStream::connect(addr.trim_start_matches("http://"))
        .await
        .expect("reached");
    let request = format!("GET {path} HTTP/1.1\r\nhost: mint\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    (!answer.is_empty()).then_some(answer)
}

#[tokio::test]
async fn each_fault_does_what_it_says() {
    let (_mint, proxy) = behind_a_proxy().await;
    let ask = async || get(&proxy, "/v1/info").await;

    assert!(ask().await.expect("an answer").starts_with("HTTP/1.1 200"));
    assert_eq!(proxy.answered("/v1/info"), 1);

    proxy.next("/v1/info", Fault::DropRequest);
    assert_eq!(ask().await, None);
    assert_eq!(proxy.answered("/v1/info"), 1);

    proxy.next("/v1/info", Fault::DropAnswer);
    assert_eq!(ask().await, None);
    assert_eq!(proxy.answered("/v1/info"), 2);

    proxy.next("/v1/info", Fault::Duplicate);
    assert!(ask().await.is_some());
    assert_eq!(proxy.answered("/v1/info"), 4);

    proxy.next("/v1/info", Fault::Delay(Duration::from_millis(200)));
    let start = Instant::now();
    assert!(ask().await.is_some());
    assert!(start.elapsed() >= Duration::from_millis(200));

    proxy.next("/v1/swap", Fault::DropRequest);
    assert!(ask().await.is_some());
    assert_eq!(proxy.waiting(), 1);
}

#[tokio::test]
async fn a_mint_answer_that_is_lost_is_asked_for_again() {
    let (mint, proxy) = behind_a_proxy().await;
    let wallet = wallet_at(&mint).await;
    let quote = wallet
        .mint_quote(PaymentMethod::BOLT11, Some(500.into()), None, None)
        .await;
    let quote = quote.expect("a quote");
    mint.pay_invoice(&quote.request).await;

    proxy.next("/v1/mint/bolt11", Fault::DropAnswer);
    let wait = Duration::from_secs(10);
    // The wallet may notice or repair the loss itself; recovery must do the rest either way.
    let _ = wallet
        .wait_and_mint_quote(quote, SplitTarget::default(), None, wait)
        .await;
    wallet.recover_incomplete_sagas().await.expect("recovered");

    assert_eq!(proxy.waiting(), 0);
    assert_eq!(mint.owes().await, Msat::new(500));
    assert_eq!(
        wallet.total_balance().await.expect("a balance").to_u64(),
        500
    );
}

#[tokio::test]
async fn a_duplicated_purchase_buys_once() {
    let (mint, proxy) = behind_a_proxy().await;
    let wallet = wallet_at(&mint).await;
    proxy.next("/v1/mint/bolt11", Fault::Duplicate);

    assert_eq!(buy(&wallet, &mint, 77).await, 77);

    assert_eq!(proxy.answered("/v1/mint/bolt11"), 2);
    assert_eq!(mint.owes().await, Msat::new(77));
}
