//! The relays that a node knows: those in its directory file, and those that discovery finds.

use super::directory::{DirectoryError, DirectoryWatch};
use crate::clock::Clock;
use coinfuse_directory::Directory;
use coinfuse_discovery::{Discovery, SourceStatus};
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
/// How many sources are heard in the beginning, if there are so many: one alone could have hidden
/// all relays but its own.
const SOURCES: usize = 3;
/// For how long the others are waited for, and how often is looked.
const OTHERS: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(25);

/// All relays that a node knows, as they change.
pub(super) struct KnownRelays {
    file: DirectoryWatch,
    listed: Directory,
    discovery: Option<Discovery>,
    found: Option<watch::Receiver<Arc<Directory>>>,
    /// Nothing more will be found.
    ended: bool,
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
            ended: false,
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

    /// Waits until so many relays are known, for `limit` at most, and then a while until several sources
    /// were heard and no others come; not at all if so many are known already.
    pub(super) async fn gather(&mut self, enough: usize, limit: Duration) {
        let Some(mut found) = self.found.clone() else {
            return;
        };
        if self.known.borrow().len() >= enough {
            return;
        }
        let listed = self.listed.len();
        let enough = |found: &Arc<Directory>| found.len() + listed >= enough;
        if timeout(limit, found.wait_for(enough)).await.is_ok() {
            // Who waited that long for the others has to begin with what there is.
            let _ = timeout(OTHERS, self.rest(found)).await;
        }
        self.combine();
    }

    /// What is to be said of those who are asked under `bootstrap`, if they say nothing.
    pub(super) async fn what_is_wrong(&self) -> String {
        let mut text = String::new();
        if let Some(discovery) = &self.discovery {
            for (number, peer) in what_is_wrong(discovery).await.iter().enumerate() {
                let begin = if number == 0 {
                    ". Of `bootstrap`, "
                } else {
                    "; "
                };
                text += &format!("{begin}{peer}");
            }
        }
        text
    }

    /// Waits until no others come for a moment, and several sources were heard.
    async fn rest(&self, mut found: watch::Receiver<Arc<Directory>>) {
        while timeout(QUIET, found.changed())
            .await
            .is_ok_and(|one| one.is_ok())
        {}
        if let Some(discovery) = &self.discovery {
            several_heard(discovery).await;
        }
    }

    /// Keeps [`watch`](Self::watch) up to date, for ever. To be dropped and called again loses
    /// nothing.
    pub(super) async fn follow(&mut self) -> Infallible {
        loop {
            tokio::select! {
                listed = self.file.changed() => self.listed = listed,
                () = changed(&mut self.found, &mut self.ended) => {}
            }
            self.combine();
            sleep(PAUSE).await;
        }
    }

    fn combine(&mut self) {
        let found = self.found.as_mut();
        let mut all =
            found.map_or_else(Arc::default, |found| Arc::clone(&found.borrow_and_update()));
        if !self.listed.is_empty() {
            let all = Arc::make_mut(&mut all);
            for relay in self.listed.iter() {
                // Beyond the limit, what was found goes first.
                let _full = all.insert(Arc::clone(relay));
            }
        }
        self.known.send_replace(all);
    }
}

/// Waits until several sources have said what they know, or all that are of any use.
pub(super) async fn several_heard(discovery: &Discovery) {
    while let Ok(status) = discovery.status().await {
        let sources = &status.sources;
        let heard = sources.iter().filter(|one| one.heard.is_some()).count();
        let is_awaited = |one: &SourceStatus| one.heard.is_none() && one.trouble.is_none();
        if heard >= SOURCES || heard > 0 && !sources.iter().any(is_awaited) {
            return;
        }
        sleep(LOOK).await;
    }
}

/// Why those who are asked under `bootstrap` say nothing, in a sentence each; empty if one does.
async fn what_is_wrong(discovery: &Discovery) -> Vec<String> {
    let Ok(status) = discovery.status().await else {
        return Vec::new();
    };
    let bootstrap = status.sources.iter().filter(|source| source.bootstrap);
    let bootstrap: Vec<_> = bootstrap.collect();
    if bootstrap
        .iter()
        .any(|source| source.heard.is_some() && source.trouble.is_none())
    {
        return Vec::new();
    }
    let silent = "it does not answer, so far; check the address and the network here";
    let why = |source: &&SourceStatus| {
        let why = source
            .trouble
            .map_or(silent.into(), |trouble| trouble.to_string());
        match source.address {
            Some(address) => format!("{address}: {why}"),
            None => why,
        }
    };
    bootstrap.iter().map(why).collect()
}

/// Waits for the next version; for ever, if there will be none.
async fn changed(found: &mut Option<watch::Receiver<Arc<Directory>>>, ended: &mut bool) {
    if let Some(found) = found
        && !*ended
    {
        if found.changed().await.is_ok() {
            return;
        }
        *ended = true;
        tracing::error!("discovery has ended, and no relays are found any more: start this anew");
    }
    core::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use coinfuse_directory::{
        Descriptor, DescriptorBody, Identity, LinkKey, OnionKey, RelayKeys, VoucherKey,
    };
    use std::fs;
    use tempfile::TempDir;

    fn relay(number: u8) -> Descriptor {
        let identity = Identity::from_seed([number; 32]);
        let keys = RelayKeys {
            link: LinkKey::new([1; 32]),
            onion: OnionKey::new([2; 32]),
            voucher: VoucherKey::new([2; 33]),
        };
        let body = DescriptorBody::new(&identity, keys, Clock::start().unix());
        body.sign(&identity).unwrap()
    }

    fn directory(numbers: impl IntoIterator<Item = u8>) -> Arc<Directory> {
        let mut directory = Directory::new();
        directory.extend(numbers.into_iter().map(relay));
        Arc::new(directory)
    }

    /// With a file that lists the first relay, and somebody who finds others.
    fn known() -> (KnownRelays, watch::Sender<Arc<Directory>>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.txt");
        fs::write(&path, directory([1]).to_text()).unwrap();
        let mut relays = KnownRelays::open(&path, Clock::start(), None).unwrap();
        let (find, found) = watch::channel(directory([]));
        relays.found = Some(found);
        (relays, find, folder)
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_file_lists_and_what_is_found_is_known_together() {
        let (mut relays, find, folder) = known();
        let mut known = relays.watch();
        assert_eq!(known.borrow().len(), 1);
        let changes = async {
            find.send_replace(directory([2, 3]));
            known.wait_for(|known| known.len() == 3).await.unwrap();
            let more = directory([1, 4]).to_text();
            fs::write(folder.path().join("directory.txt"), more).unwrap();
            known.wait_for(|known| known.len() == 4).await.unwrap();
            find.send_replace(directory([2]));
            known.wait_for(|known| known.len() == 3).await.unwrap();
        };
        tokio::select! {
            never = relays.follow() => match never {},
            () = changes => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_beginning_is_over_when_there_are_enough_and_no_more_come() {
        let (mut relays, find, _folder) = known();
        let finding = async {
            for last in 2..6 {
                sleep(Duration::from_millis(200)).await;
                find.send_replace(directory(2..=last));
            }
        };
        let limit = Duration::from_secs(10);
        tokio::join!(relays.gather(3, limit), finding);
        assert_eq!(relays.watch().borrow().len(), 5);

        // Nothing to wait for, and nobody to wait for.
        let started = tokio::time::Instant::now();
        relays.gather(5, limit).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        relays.gather(6, limit).await;
        assert!(started.elapsed() >= limit);
    }

    #[test]
    fn without_discovery_there_has_to_be_a_file() {
        let missing = Path::new("/nowhere/directory.txt");
        let error = KnownRelays::open(missing, Clock::start(), None).err();
        assert!(matches!(error, Some(DirectoryError::Missing(_))));
        let waiting = KnownRelays::open_or_wait(missing, Clock::start(), None);
        assert!(waiting.watch().borrow().is_empty());
    }
}
