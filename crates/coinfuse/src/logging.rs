//! A subscriber that does not print what must not be printed.
//!
//! The rule: a relay's log knows no destinations and no client addresses, a client's log no
//! destinations either, and no log proofs, keys or credentials, whatever the level. Our own crates keep it at the
//! source. Libraries do not, so they are capped here by [`filter`]:
//!
//! | target | cap | because |
//! |---|---|---|
//! | `coinfuse*` and the program's own | the given level | |
//! | `quinn_udp`, `quinn`, `quinn_proto` | off | a failed send prints the peer's address as a warning |
//! | `h2`, `hyper`, `reqwest` | off | frames and requests carry targets |
//! | `fast_socks5` | off | prints targets and credentials |
//! | `libp2p*`, `multistream_select`, `yamux` | off | connections are named by the addresses of peers |
//! | all others | errors | |
//!
//! Lines written through the `log` crate instead of `tracing` (`fast_socks5`, `rustls`) are not
//! collected at all. A program with its own logger takes over the table above.

use std::io;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Libraries that print what must not be printed.
const SILENT: [&str; 10] = [
    "fast_socks5",
    "h2",
    "hyper",
    "libp2p",
    "multistream_select",
    "quinn",
    "quinn_proto",
    "quinn_udp",
    "reqwest",
    "yamux",
];

/// Prints our lines from `level` up to standard error, and those of `program`, the calling binary's
/// crate name. Call it once, at the start of a program; libraries and tests do not.
///
/// # Errors
///
/// When the process already has a subscriber.
pub fn init(level: LevelFilter, program: &str) -> Result<(), TryInitError> {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_target(false);
    tracing_subscriber::registry()
        .with(lines)
        .with(filter(level, program))
        .try_init()
}

/// The filter of [`init`], for programs that bring their own layers.
pub fn filter(level: LevelFilter, program: &str) -> Targets {
    Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_target("coinfuse", level)
        .with_target(program, level)
        .with_targets(SILENT.map(|target| (target, LevelFilter::OFF)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn libraries_that_leak_are_silent_at_every_level() {
        let filter = filter(LevelFilter::TRACE, "relay");
        for target in [
            "fast_socks5::server",
            "quinn_udp::unix",
            "quinn::endpoint",
            "h2::codec",
            "libp2p_swarm",
        ] {
            for level in [Level::ERROR, Level::WARN, Level::DEBUG] {
                assert!(!filter.would_enable(target, &level), "{target} {level}");
            }
        }
    }

    #[test]
    fn our_lines_follow_the_level_and_others_print_errors() {
        let filter = filter(LevelFilter::INFO, "relay");
        for target in ["coinfuse::link", "coinfuse_circuit", "relay"] {
            assert!(filter.would_enable(target, &Level::INFO), "{target}");
            assert!(!filter.would_enable(target, &Level::DEBUG), "{target}");
        }
        assert!(filter.would_enable("redb", &Level::ERROR));
        assert!(!filter.would_enable("redb", &Level::WARN));
    }
}
