//! Sockets on loopback, real programs, whole files.

mod config_files;
mod link_dialling;
mod link_endings;
mod link_pool;
mod link_streams;
mod logging_leaks;
mod network;
mod packets;
mod socks_bytes;
mod socks_curl;
mod support;
