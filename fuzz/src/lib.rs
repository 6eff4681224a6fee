//! What must hold for any bytes whatever. Each function is one fuzz target: it takes hostile bytes
//! and panics when a law is broken. The same functions run over the seeds in `cargo test`.
//!
//! A new parser arrives with its target here, a file in `fuzz_targets/` and seeds in
//! `seeds/<target>/`.

mod channel;
mod circuit;
mod directory;
mod discovery;
mod laws;
mod machines;
mod mempool;
mod onion;
mod paths;
mod sync;
mod target;
mod voucher;
mod wire;

pub use channel::{
    Seed, channel_forgeries, channel_messages, channel_operations, channel_rows, channel_seeds,
};
pub use circuit::{circuit_handshake, circuit_messages, circuit_records};
pub use directory::{descriptor, directory_file, exit_policy};
pub use discovery::{discovery_peer, discovery_record};
pub use machines::{circuit_lane, circuit_operations};
pub use mempool::{mempool_session, mempool_submission};
pub use onion::{onion_build, onion_lane, onion_peel, onion_record, onion_reply, onion_reply_path};
pub use paths::{directory_history, directory_paths};
pub use sync::{DIRECTORY, JOURNAL, directory_answer, directory_question, directory_snapshot};
pub use target::target;
pub use voucher::voucher;
pub use wire::wire;

/// A target: takes any bytes, panics when a law is broken.
pub type Target = fn(&[u8]);

/// Every target and its name, which is its folder of seeds.
pub const TARGETS: [(&str, Target); 29] = [
    ("channel_forgeries", channel_forgeries),
    ("channel_messages", channel_messages),
    ("channel_operations", channel_operations),
    ("channel_rows", channel_rows),
    ("circuit_handshake", circuit_handshake),
    ("circuit_lane", circuit_lane),
    ("circuit_messages", circuit_messages),
    ("circuit_operations", circuit_operations),
    ("circuit_records", circuit_records),
    ("descriptor", descriptor),
    ("directory_answer", directory_answer),
    ("directory_file", directory_file),
    ("directory_history", directory_history),
    ("directory_paths", directory_paths),
    ("directory_question", directory_question),
    ("directory_snapshot", directory_snapshot),
    ("discovery_peer", discovery_peer),
    ("discovery_record", discovery_record),
    ("exit_policy", exit_policy),
    ("mempool_session", mempool_session),
    ("mempool_submission", mempool_submission),
    ("onion_build", onion_build),
    ("onion_lane", onion_lane),
    ("onion_peel", onion_peel),
    ("onion_record", onion_record),
    ("onion_reply", onion_reply),
    ("target", target),
    ("voucher", voucher),
    ("wire", wire),
];

/// The time at which signed things are looked at.
pub const NOW: coinfuse_wire::UnixTime = coinfuse_wire::UnixTime::from_secs(1_800_000_000);
