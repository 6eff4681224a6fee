//! Nodes on loopback.

mod adversary;
mod network;
mod stranger;
mod town;
