//! How many files and sockets a process may have open.

/// Raises the limit of files and sockets that this process may have open as far as the system lets it,
/// and says what it is then; `None` where there is no such thing, or it cannot be told.
///
/// For programs to call at their start. Many systems begin with 1,024, which is too few for a relay:
/// discovery alone has some hundred connections, and an exit one for each stream.
pub fn raise_open_files() -> Option<u64> {
    raise()
}

#[cfg(unix)]
fn raise() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        // Some systems have no maximum and yet refuse it.
        Err(_) => limit.current,
    }
}

#[cfg(not(unix))]
fn raise() -> Option<u64> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    #[test]
    fn a_limit_that_was_lowered_is_raised_again() {
        let before = getrlimit(Resource::Nofile);
        let lower = Rlimit {
            current: before.maximum.map(|most| most / 2),
            maximum: before.maximum,
        };
        setrlimit(Resource::Nofile, lower).unwrap();
        raise_open_files();
        assert!(getrlimit(Resource::Nofile).current >= before.current);
    }
}
