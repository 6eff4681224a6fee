//! The relays that a node knows: those in its directory file, and those that discovery finds.

use super::directory::{DirectoryError, DirectoryWatch};
use crate::clock::Clock;
use coinfuse_directory::Directory;
use coinfuse_discovery::Discovery;
use core::convert::Infallible;
use core::time::Duration;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// The least time between two versions: news of many relays comes in many small parts, and each
/// version is a copy of all.
const PAUSE: Duration = Duration::from_millis(200);
/// For how long nothing must change for the beginning to be over.
const QUIET: Duration = Duration::from_millis(250);

/// All relays that a node knows, as they change.
pub(super) struct KnownRelays {
    file: DirectoryWatch,
    listed: Directory,
    discovery: Option<Discovery>,
    found: Option<watch::Receiver<Arc<Directory>>>,
    known: watch::Sender<Arc<Directory>>,
}

impl KnownRelays {
    /// Reads the file, which has to be there only if there is no discovery.
    pub(super) fn open(
        file: &Path,
        clock: Clock,
        discovery: Option<Discovery>,
    ) -> Result<Self, DirectoryError> {
        let mut file = DirectoryWatch::new(file, clock);
        let listed = match file.read() {
            Err(DirectoryError::Missing(_)) if discovery.is_some() => Directory::new(),
            listed => listed?,
        };
        Ok(Self::new(file, listed, discovery))
    }

    /// The same for somebody who can begin without: a file that cannot be read is warned about, and
    /// read when it can be.
    pub(super) fn open_or_wait(file: &Path, clock: Clock, discovery: Option<Discovery>) -> Self {
        let mut file = DirectoryWatch::new(file, clock);
        let listed = file.read().unwrap_or_else(|error| {
            let needed = !matches!(error, DirectoryError::Missing(_)) || discovery.is_none();
            if needed {
                tracing::warn!("{error}");
            }
            Directory::new()
        });
        Self::new(file, listed, discovery)
    }

    fn new(file: DirectoryWatch, listed: Directory, discovery: Option<Discovery>) -> Self {
        let mut relays = Self {
            file,
            listed,
            found: discovery.as_ref().map(Discovery::directory),
            discovery,
            known: watch::Sender::default(),
        };
        relays.combine();
        relays
    }

    /// All relays that are known, and each new version from then on.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<Directory>> {
        self.known.subscribe()
    }

    /// The node of the discovery network, if there is one.
    pub(super) fn discovery(&self) -> Option<&Discovery> {
        self.discovery.as_ref()
    }

    /// Waits until so many relays are known, and no others come for a moment; at most for `limit`,
    /// and not at all if so many are known already.
    pub(super) async fn gather(&mut self, enough: usize, limit: Duration) {
        let Some(mut found) = self.found.clone() else {
            return;
        };
        if self.known.borrow().len() >= enough {
            return;
        }
        let listed = self.listed.len();
        let gathering = async {
            let enough = |found: &Arc<Directory>| found.len() + listed >= enough;
            if found.wait_for(enough).await.is_ok() {
                while timeout(QUIET, found.changed())
                    .await
                    .is_ok_and(|one| one.is_ok())
                {}
            }
        };
        // Who waited that long has to begin with what there is.
        let _ = timeout(limit, gathering).await;
        self.combine();
    }

    /// Keeps [`watch`](Self::watch) up to date, for ever. To be dropped and called again loses
    /// nothing.
    pub(super) async fn follow(&mut self) -> Infallible {
        loop {
            tokio::select! {
                listed = self.file.changed() => self.listed = listed,
                () = changed(&mut self.found) => {}
            }
            self.combine();
            sleep(PAUSE).await;
        }
    }

    fn combine(&mut self) {
        let mut all = match &mut self.found {
            Some(found) => Directory::clone(&found.borrow_and_update()),
            None => Directory::new(),
        };
        for relay in self.listed.iter() {
            // Beyond the limit, what was found goes first.
            let _full = all.insert(Arc::clone(relay));
        }
        self.known.send_replace(Arc::new(all));
    }
}

/// Waits for the next version; for ever, if there will be none.
async fn changed(found: &mut Option<watch::Receiver<Arc<Directory>>>) {
    if let Some(found) = found
        && found.changed().await.is_ok()
    {
        return;
    }
    core::future::pending().await
}
