//! Nodes on loopback.

mod adversary;
mod limits;
mod network;
mod stranger;
mod town;
mod troubles;
