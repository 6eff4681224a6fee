//! How much one circuit, and all of them, may have.

use crate::fakes::{Answer, Names, Switchboard, config, failure, listener, target};
use coinfuse_delivery::{Exit, ExitConfig, ExitFailure};
use tokio::time::Instant;

/// An exit to a listener that stands at 1.1.1.1, with some limits changed.
fn exit(change: impl FnOnce(&mut ExitConfig)) -> (std::net::TcpListener, Exit, Names) {
    let (listener, address) = listener();
    let mut config = config("accept *:80");
    change(&mut config);
    let names = Names::default().with("quick.example", &["1.1.1.1"]);
    let board = Switchboard::new().with("1.1.1.1", Answer::Connect(address));
    (
        listener,
        Exit::with_dialer(config, names.clone(), board),
        names,
    )
}

#[tokio::test(start_paused = true)]
async fn a_circuit_has_its_number_of_streams_and_gets_a_place_back_when_one_ends() {
    let (_listener, exit, _) = exit(|config| config.max_circuit_streams = 2);
    let (circuit, other) = (exit.circuit(), exit.circuit());
    let to = target("1.1.1.1:80");
    let first = circuit.connect(&to).await.unwrap();
    let _second = circuit.connect(&to).await.unwrap();
    assert_eq!(
        failure(circuit.connect(&to).await),
        ExitFailure::CircuitLimit
    );
    let _others = other.connect(&to).await.unwrap();
    assert_eq!(exit.open_streams(), 3);
    drop(first);
    let _third = circuit.connect(&to).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn all_circuits_together_have_their_number_of_streams() {
    let (_listener, exit, _) = exit(|config| config.max_streams = 1);
    let to = target("1.1.1.1:80");
    let (_tcp, slot) = exit.circuit().connect(&to).await.unwrap().into_parts();
    assert_eq!(
        failure(exit.circuit().connect(&to).await),
        ExitFailure::RelayLimit
    );
    drop(slot);
    exit.circuit().connect(&to).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_given_up_leaves_no_place_taken() {
    let (_listener, exit, _) = exit(|_| {});
    let circuit = exit.circuit();
    let stuck = tokio::spawn(async move { circuit.connect(&target("9.9.9.9:80")).await });
    tokio::task::yield_now().await;
    assert_eq!(exit.open_streams(), 1);
    stuck.abort();
    assert!(stuck.await.unwrap_err().is_cancelled());
    assert_eq!(exit.open_streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_hangs_its_lookups_hurts_itself_only() {
    let (_listener, exit, names) = exit(|config| config.max_circuit_lookups = 2);
    let (greedy, modest) = (exit.circuit(), exit.circuit());
    let start = Instant::now();
    for name in ["slow1.example:80", "slow2.example:80"] {
        let circuit = greedy.clone();
        tokio::spawn(async move { circuit.connect(&target(name)).await.map(drop) });
    }
    tokio::task::yield_now().await;

    modest.connect(&target("quick.example:80")).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 0);
    let waited = failure(greedy.connect(&target("quick.example:80")).await);
    assert_eq!(
        (waited, start.elapsed().as_secs()),
        (ExitFailure::CircuitLimit, 5)
    );
    // Lookups that go on after their time was up still count.
    let waited = failure(greedy.connect(&target("quick.example:80")).await);
    assert_eq!(
        (waited, start.elapsed().as_secs()),
        (ExitFailure::CircuitLimit, 10)
    );
    assert_eq!(
        names.asked(),
        ["slow1.example", "slow2.example", "quick.example"]
    );
}

#[tokio::test(start_paused = true)]
async fn all_circuits_together_have_their_number_of_lookups() {
    let (_listener, exit, _) = exit(|config| config.max_lookups = 1);
    let circuit = exit.circuit();
    tokio::spawn(async move { circuit.connect(&target("slow.example:80")).await.map(drop) });
    tokio::task::yield_now().await;
    let waited = failure(exit.circuit().connect(&target("quick.example:80")).await);
    assert_eq!(waited, ExitFailure::RelayLimit);
}
