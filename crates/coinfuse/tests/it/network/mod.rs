//! Whole networks: a mint, relays and clients, with real payments on real sockets.

mod credit_that_runs_out;
mod credit_that_survives;
mod meters_that_agree;
mod stalls_that_stay_alone;
mod station;
mod town;
mod traffic;
