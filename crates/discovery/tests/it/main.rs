//! Nodes on loopback.

mod adversary;
mod follow;
mod limits;
mod network;
mod stranger;
mod town;
mod troubles;
