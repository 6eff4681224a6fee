//! What an exit opens, what it refuses, and what the application is told.

use super::station::{LOOPBACK, RelayPlan, exit_config};
use super::town::{Plan, Town};
use super::traffic::echo;
use crate::support::loopback;
use coinfuse::client::{ClientError, Stream};
use coinfuse::connect::{Connect, ConnectError, Isolation};
use coinfuse_delivery::{Exit, ExitFailure, HostName, Lookup, Resolve, ResolveError};
use coinfuse_testkit::Peer;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Knows one name, and remembers what it was asked.
#[derive(Clone, Default)]
pub(crate) struct Names(pub(crate) Arc<Mutex<Vec<String>>>);

/// A name that no other resolver knows.
pub(crate) const HIDDEN: &str = "hidden-target.test";

impl Resolve for Names {
    fn resolve(&self, name: &HostName) -> Lookup {
        let name = name.expose().to_owned();
        let known = name == HIDDEN;
        self.0.lock().unwrap().push(name);
        Box::pin(core::future::ready(match known {
            true => Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]),
            false => Err(ResolveError::NotFound),
        }))
    }
}

/// An exit that publishes `says` and obeys `does`.
async fn exit(says: &'static str, does: &'static str, names: &Names) -> Town {
    let mut plan = Plan::hops(2);
    let names = names.clone();
    plan.relays[0] = RelayPlan::exit_by(says, move || Exit::new(exit_config(does), names.clone()));
    plan.build().await
}

/// As an application is told.
async fn outcome(town: &Town, target: &str) -> Result<Stream, ConnectError> {
    let target = target.parse().unwrap();
    Connect::connect(&town.client, target, Isolation::NONE).await
}

#[tokio::test]
async fn a_relay_without_a_policy_is_no_exit() {
    let mut plan = Plan::hops(1);
    plan.relays = vec![RelayPlan::default()];
    let town = plan.build().await;
    let nobody = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let error = echo(&town.client, nobody, Isolation::NONE)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::NoPath(_)), "{error}");
}

#[tokio::test]
async fn a_relay_that_is_no_exit_ends_the_circuit_of_whoever_treats_it_as_one() {
    let target = Peer::echo().unwrap();
    let mut plan = Plan::hops(1);
    plan.relays[0].exit = None;
    let town = plan.build().await;
    echo(&town.client, target.addr(), Isolation::NONE)
        .await
        .unwrap_err();
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn this_machine_is_refused_unless_the_operator_lists_it() {
    let target = Peer::echo().unwrap();
    let port = target.addr().port();
    let names = Names::default();
    let closed = exit(LOOPBACK, "accept *:*", &names).await;
    for host in ["127.0.0.1", HIDDEN] {
        let refused = outcome(&closed, &format!("{host}:{port}")).await;
        assert_eq!(refused.unwrap_err(), ConnectError::Policy, "{host}");
    }
    assert_eq!(target.connections(), 0);

    let listed = exit(LOOPBACK, LOOPBACK, &names).await;
    outcome(&listed, &format!("127.0.0.1:{port}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_refused_connection_is_told_as_one_and_costs_no_circuit() {
    let names = Names::default();
    let town = exit(LOOPBACK, LOOPBACK, &names).await;
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind(loopback()).unwrap();
    let nobody = free.local_addr().unwrap();
    drop(free);
    for _ in 0..3 {
        let refused = outcome(&town, &nobody.to_string()).await;
        assert_eq!(refused.unwrap_err(), ConnectError::Refused);
    }
    assert_eq!(town.client.circuits().len(), 1);
    assert_eq!(town.exit().relay().stats().circuits, 1);
}

#[tokio::test]
async fn a_name_is_resolved_at_the_exit_and_nowhere_else() {
    let target = Peer::echo().unwrap();
    let names = Names::default();
    let town = exit("accept 127.0.0.1:*, accept *:*", LOOPBACK, &names).await;
    let mut stream = outcome(&town, &format!("{HIDDEN}:{}", target.addr().port()))
        .await
        .unwrap();
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
    assert_eq!(*names.0.lock().unwrap(), [HIDDEN]);

    let unknown = outcome(&town, "no-such-name.test:80").await;
    assert_eq!(unknown.unwrap_err(), ConnectError::HostUnreachable);
    assert_eq!(names.0.lock().unwrap().len(), 2, "asked once");
}

#[tokio::test]
async fn a_target_that_is_none_is_the_caller_s_mistake() {
    let town = Plan::hops(1).build().await;
    let error = town.client.connect("no port").await.unwrap_err();
    assert!(matches!(error, ClientError::Exit(ExitFailure::BadTarget)));
    assert!(town.client.circuits().is_empty());
}
