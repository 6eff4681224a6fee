//! Whole networks: a mint, relays and clients, with real payments on real sockets.

mod credit_that_runs_out;
mod station;
mod town;
mod traffic;
