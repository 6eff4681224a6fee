//! Nodes on loopback.

mod network;
mod town;
