//! A watch over what is logged: secrets must not be in it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// The most that is kept, in bytes; a test that logs more than this is told so by a panic.
const MAX_KEPT: usize = 64 << 20;

/// Captures events and spans of `tracing` and records of `log`, with all their fields.
///
/// ```
/// use coinfuse_testkit::LogWatch;
///
/// let watch = LogWatch::new();
/// let guard = watch.on_this_thread(tracing::Level::TRACE);
/// tracing::debug!(target = "example.org:443", "opening a stream");
/// drop(guard);
///
/// assert_eq!(watch.leaks(["198.51.100.7"]), []);
/// assert_eq!(watch.leaks(["example.org"])[0].secret, "example.org");
/// ```
#[derive(Debug, Clone, Default)]
pub struct LogWatch {
    text: Arc<Mutex<Vec<u8>>>,
}

/// A secret that stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// Which one.
    pub secret: String,
    /// The first line in which it stands.
    pub line: String,
}

impl LogWatch {
    /// A watch that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Captures what this thread logs, from now until the guard is dropped. In a test with a
    /// current-thread runtime that is everything but background threads.
    #[must_use]
    pub fn on_this_thread(&self, level: Level) -> DefaultGuard {
        tracing::subscriber::set_default(self.subscriber(level))
    }

    /// Captures what the whole process logs, `log` records included, for good. Panics when the
    /// process has a subscriber or a logger.
    pub fn on_this_process(&self, level: Level) {
        log::set_boxed_logger(Box::new(self.clone())).expect("no other logger");
        log::set_max_level(level.as_str().parse().expect("the same names"));
        tracing::subscriber::set_global_default(self.subscriber(level))
            .expect("no other subscriber");
    }

    fn subscriber(&self, level: Level) -> impl tracing::Subscriber + Send + Sync + use<> {
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_span_events(FmtSpan::NEW)
            .with_writer(self.clone())
            .finish()
    }

    /// All that was logged.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept()).into_owned()
    }

    /// Which of the secrets stand in it. An empty secret is skipped: it stands everywhere.
    pub fn leaks<S: AsRef<str>>(&self, secrets: impl IntoIterator<Item = S>) -> Vec<Leak> {
        let text = self.text();
        let found = |secret: S| {
            let secret = secret.as_ref().to_owned();
            let at = if secret.is_empty() {
                None
            } else {
                text.find(&secret)
            };
            let start = text[..at?].rfind('\n').map_or(0, |end| end + 1);
            let line = text[start..].lines().next().unwrap_or_default().to_owned();
            Some(Leak { secret, line })
        };
        secrets.into_iter().filter_map(found).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Vec<u8>> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.kept();
        assert!(
            kept.len() + bytes.len() <= MAX_KEPT,
            "more was logged than the watch can keep"
        );
        kept.extend_from_slice(bytes);
    }
}

impl io::Write for LogWatch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.keep(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWatch {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl log::Log for LogWatch {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.keep(
            format!(
                "{} {}: {}\n",
                record.level(),
                record.target(),
                record.args()
            )
            .as_bytes(),
        );
    }

    fn flush(&self) {}
}
