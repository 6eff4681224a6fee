//! Attempts beside one another, and targets that never answer.

use crate::fakes::{Answer, Names, Switchboard, config, failure, listener, target};
use coinfuse_delivery::{Exit, ExitFailure};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::time::Instant;

fn dialled(expected: &[(u128, &str)]) -> Vec<(u128, String)> {
    expected
        .iter()
        .map(|(when, address)| (*when, (*address).to_owned()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn addresses_are_tried_in_turn_of_families_a_quarter_second_apart() {
    let (_listener, address) = listener();
    let names = Names::default().with(
        "many.example",
        &[
            "2606:4700::1",
            "2606:4700::2",
            "1.1.1.1",
            "1.1.1.1",
            "1.1.1.2",
        ],
    );
    let board = Switchboard::new().with("1.1.1.2", Answer::Connect(address));
    let circuit = Exit::with_dialer(config("accept *:80"), names, board.clone()).circuit();
    circuit.connect(&target("many.example:80")).await.unwrap();
    assert_eq!(
        board.dialled(),
        dialled(&[
            (0, "2606:4700::1"),
            (250, "1.1.1.1"),
            (500, "2606:4700::2"),
            (750, "1.1.1.2")
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_starts_the_next_at_once() {
    let (_listener, address) = listener();
    let names = Names::default().with("two.example", &["2606:4700::1", "1.1.1.1"]);
    let board = Switchboard::new()
        .with("2606:4700::1", Answer::Fail(ErrorKind::NetworkUnreachable))
        .with("1.1.1.1", Answer::Connect(address));
    let circuit = Exit::with_dialer(config("accept *:80"), names, board.clone()).circuit();
    circuit.connect(&target("two.example:80")).await.unwrap();
    assert_eq!(
        board.dialled(),
        dialled(&[(0, "2606:4700::1"), (0, "1.1.1.1")])
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_addresses_are_tried_than_configured() {
    let names = Names::default().with("many.example", &["1.1.1.1", "1.1.1.2", "1.1.1.3"]);
    let mut config = config("accept *:80");
    config.max_addresses = 2;
    let board = Switchboard::new();
    let circuit = Exit::with_dialer(config, names, board.clone()).circuit();
    let given_up = failure(circuit.connect(&target("many.example:80")).await);
    assert_eq!(given_up, ExitFailure::ConnectTimeout);
    assert_eq!(
        board.dialled(),
        dialled(&[(0, "1.1.1.1"), (250, "1.1.1.2")])
    );
}

#[tokio::test(start_paused = true)]
async fn the_most_telling_failure_is_reported() {
    let names = Names::default().with("all.example", &["1.1.1.1", "1.1.1.2", "2606:4700::1"]);
    let board = Switchboard::new()
        .with("1.1.1.1", Answer::Fail(ErrorKind::HostUnreachable))
        .with("1.1.1.2", Answer::Fail(ErrorKind::ConnectionRefused))
        .with("2606:4700::1", Answer::Fail(ErrorKind::NetworkUnreachable));
    let circuit = Exit::with_dialer(config("accept *:80"), names, board).circuit();
    let at = async |text| failure(circuit.connect(&target(text)).await);
    assert_eq!(at("all.example:80").await, ExitFailure::ConnectionRefused);
    assert_eq!(at("1.1.1.1:80").await, ExitFailure::HostUnreachable);
    assert_eq!(
        at("[2606:4700::1]:80").await,
        ExitFailure::NetworkUnreachable
    );
}

#[tokio::test]
async fn a_closed_port_of_a_real_host_is_refused() {
    let (listener, address) = listener();
    drop(listener);
    let circuit = Exit::new(config("accept 127.0.0.1:*"), Names::default()).circuit();
    let refused = failure(circuit.connect(&target(&address.to_string())).await);
    assert_eq!(refused, ExitFailure::ConnectionRefused);
}

#[tokio::test(start_paused = true)]
async fn a_black_holed_address_times_out_and_delays_nobody_else() {
    let (_listener, address) = listener();
    let board = Switchboard::new().with("1.1.1.1", Answer::Connect(address));
    let circuit = Exit::with_dialer(config("accept *:80"), Names::default(), board).circuit();
    let start = Instant::now();

    let stuck = tokio::spawn({
        let circuit = circuit.clone();
        async move { failure(circuit.connect(&target("9.9.9.9:80")).await) }
    });
    tokio::task::yield_now().await;
    circuit.connect(&target("1.1.1.1:80")).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);

    assert_eq!(stuck.await.unwrap(), ExitFailure::ConnectTimeout);
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_never_answered_times_out_and_delays_nobody_else() {
    let (_listener, address) = listener();
    let names = Names::default().with("quick.example", &["1.1.1.1"]);
    let board = Switchboard::new().with("1.1.1.1", Answer::Connect(address));
    let circuit = Exit::with_dialer(config("accept *:80"), names, board).circuit();
    let start = Instant::now();

    let stuck = tokio::spawn({
        let circuit = circuit.clone();
        async move { failure(circuit.connect(&target("slow.example:80")).await) }
    });
    tokio::task::yield_now().await;
    circuit.connect(&target("quick.example:80")).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);

    assert_eq!(stuck.await.unwrap(), ExitFailure::ResolveTimeout);
    assert_eq!(start.elapsed().as_secs(), 5);
}
