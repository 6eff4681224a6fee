//! What an exit refuses to open.

use crate::fakes::{Answer, Names, Switchboard, config, failure, listener, target};
use coinfuse_delivery::{Exit, ExitFailure, SystemResolver};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_listed_loopback_server_is_reached_by_address_and_by_name() {
    let (listener, address) = listener();
    let echo = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut peer, _) = listener.accept().unwrap();
            let mut reader = peer.try_clone().unwrap();
            std::io::copy(&mut reader, &mut peer).unwrap();
        }
    });
    let names = Names::default().with("web.example", &["127.0.0.1"]);
    let policy = format!("accept 127.0.0.1:{}", address.port());
    let circuit = Exit::new(config(&policy), names).circuit();
    for host in ["127.0.0.1", "web.example"] {
        let to = target(&format!("{host}:{}", address.port()));
        let mut stream = circuit.connect(&to).await.unwrap();
        stream.write_all(b"to the exit and back").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        assert_eq!(back, b"to the exit and back");
        assert!(stream.into_parts().0.nodelay().unwrap());
    }
    echo.join().unwrap();
}

#[tokio::test]
async fn the_systems_resolver_knows_localhost_and_the_policy_refuses_it() {
    let circuit = Exit::new(config("accept *:*"), SystemResolver).circuit();
    let refused = failure(circuit.connect(&target("localhost:80")).await);
    assert_eq!(refused, ExitFailure::PolicyRefused);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_rebound_to_a_special_address_is_refused_without_an_attempt() {
    let rebound = [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:1.1.1.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "fe80::1",
    ];
    let names = Names::default().with("rebound.example", &rebound);
    let board = Switchboard::new();
    let exit = Exit::with_dialer(config("accept *:*"), names, board.clone());
    let refused = failure(exit.circuit().connect(&target("rebound.example:80")).await);
    assert_eq!(refused, ExitFailure::PolicyRefused);
    for address in rebound {
        let literal = if address.contains(':') {
            format!("[{address}]")
        } else {
            address.into()
        };
        let refused = failure(
            exit.circuit()
                .connect(&target(&format!("{literal}:80")))
                .await,
        );
        assert_eq!(refused, ExitFailure::PolicyRefused, "{address}");
    }
    assert_eq!(board.dialled(), []);
    assert_eq!(exit.open_streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn of_several_addresses_only_the_allowed_ones_are_dialled() {
    let (_listener, address) = listener();
    let names = Names::default().with(
        "mixed.example",
        &["127.0.0.1", "5.5.5.5", "::ffff:9.9.9.9", "9.9.9.9"],
    );
    let board = Switchboard::new().with("9.9.9.9", Answer::Connect(address));
    let policy = config("reject 5.0.0.0/8:*, accept *:80");
    let circuit = Exit::with_dialer(policy, names, board.clone()).circuit();
    circuit.connect(&target("mixed.example:80")).await.unwrap();
    assert_eq!(board.dialled(), [(0, "9.9.9.9".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_port_and_a_hidden_name_never_reach_the_resolver() {
    let names = Names::default();
    let circuit = Exit::new(config("accept *:80"), names.clone()).circuit();
    let at = async |text| failure(circuit.connect(&target(text)).await);
    assert_eq!(at("example.com:25").await, ExitFailure::PolicyRefused);
    assert_eq!(at("abcdef.onion:80").await, ExitFailure::NoSuchName);
    assert_eq!(at("abcdef.coinfuse:80").await, ExitFailure::NoSuchName);
    assert_eq!(names.asked(), Vec::<String>::new());
    assert_eq!(at("unknown.example:80").await, ExitFailure::NoSuchName);
    assert_eq!(at("broken.example:80").await, ExitFailure::ResolverFailed);
    assert_eq!(names.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_exits_own_address_is_refused_whatever_the_policy_says() {
    let mut config = config("accept *:*");
    config.own_addresses.push("9.9.9.9".parse().unwrap());
    let circuit = Exit::with_dialer(config, Names::default(), Switchboard::new()).circuit();
    let refused = failure(circuit.connect(&target("9.9.9.9:80")).await);
    assert_eq!(refused, ExitFailure::PolicyRefused);
}

#[tokio::test(start_paused = true)]
async fn an_exit_without_a_policy_opens_nothing() {
    let circuit = Exit::with_dialer(config(""), Names::default(), Switchboard::new()).circuit();
    let refused = failure(circuit.connect(&target("9.9.9.9:80")).await);
    assert_eq!(refused, ExitFailure::PolicyRefused);
}
