//! Nodes on loopback.

mod adversary;
mod follow;
mod network;
mod stranger;
mod town;
