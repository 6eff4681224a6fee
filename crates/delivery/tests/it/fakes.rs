//! A resolver and a dialer that do as they are told.

use coinfuse_delivery::{
    Attempt, Dial, ExitConfig, ExitFailure, HostName, Lookup, Resolve, ResolveError, Target,
};
use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Knows some names; a name that starts with `slow` is never answered.
#[derive(Clone, Default)]
pub(crate) struct Names {
    known: HashMap<String, Vec<IpAddr>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Names {
    pub(crate) fn with(mut self, name: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.known.insert(name.to_owned(), addresses);
        self
    }

    /// The names that were asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolve for Names {
    fn resolve(&self, name: &HostName) -> Lookup {
        let name = name.expose().to_owned();
        self.asked.lock().unwrap().push(name.clone());
        let found = self.known.get(&name).cloned();
        Box::pin(async move {
            match found {
                Some(addresses) => Ok(addresses),
                None if name.starts_with("slow") => pending().await,
                None if name.starts_with("broken") => Err(ResolveError::Unavailable),
                None => Err(ResolveError::NotFound),
            }
        })
    }
}

/// What an address does when it is dialled.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Connects, in fact to this loopback listener.
    Connect(SocketAddr),
    /// Fails at once.
    Fail(io::ErrorKind),
    /// Never says a word.
    BlackHole,
}

/// Dials addresses as the table says; all others are black holes.
#[derive(Clone)]
pub(crate) struct Switchboard {
    answers: HashMap<IpAddr, Answer>,
    dialled: Arc<Mutex<Vec<(u128, SocketAddr)>>>,
    start: Instant,
}

impl Switchboard {
    pub(crate) fn new() -> Self {
        Self {
            answers: HashMap::new(),
            dialled: Arc::default(),
            start: Instant::now(),
        }
    }

    pub(crate) fn with(mut self, address: &str, answer: Answer) -> Self {
        self.answers.insert(address.parse().unwrap(), answer);
        self
    }

    /// When (in milliseconds) which address was dialled.
    pub(crate) fn dialled(&self) -> Vec<(u128, String)> {
        let dialled = self.dialled.lock().unwrap();
        dialled
            .iter()
            .map(|(when, address)| (*when, address.ip().to_string()))
            .collect()
    }
}

impl Dial for Switchboard {
    fn dial(&self, address: SocketAddr) -> Attempt {
        self.dialled
            .lock()
            .unwrap()
            .push((self.start.elapsed().as_millis(), address));
        let answer = self
            .answers
            .get(&address.ip())
            .cloned()
            .unwrap_or(Answer::BlackHole);
        Box::pin(async move {
            match answer {
                // Blocking, so that the paused clock cannot run ahead of the kernel.
                Answer::Connect(listener) => {
                    let stream = std::net::TcpStream::connect(listener)?;
                    stream.set_nonblocking(true)?;
                    TcpStream::from_std(stream)
                }
                Answer::Fail(kind) => Err(kind.into()),
                Answer::BlackHole => pending().await,
            }
        })
    }
}

/// A loopback listener that nobody needs to accept on: the kernel completes connections.
pub(crate) fn listener() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub(crate) fn config(policy: &str) -> ExitConfig {
    ExitConfig::new(policy.parse().unwrap())
}

pub(crate) fn target(text: &str) -> Target {
    text.parse().unwrap()
}

/// The failure of something that should fail.
pub(crate) fn failure<T>(result: Result<T, ExitFailure>) -> ExitFailure {
    match result {
        Ok(_) => panic!("this should not have been opened"),
        Err(failure) => failure,
    }
}
