//! The work in a relay's name, searched for once.

use crate::config::RelayConfig;
use coinfuse_directory::{WorkNonce, find_work, work_bits};
use coinfuse_wire::RelayId;
use core::num::NonZeroU32;
use std::fs;

/// What the operator asks for: as it was found before, or searched for now, which may take seconds. It
/// is in the data folder from then on.
pub(super) fn work(config: &RelayConfig, relay: &RelayId) -> Option<WorkNonce> {
    let wanted = config.discovery.work_bits;
    if !config.discovery.enabled || wanted == 0 {
        return None;
    }
    let file = config.data_dir.join("work");
    let found = fs::read_to_string(&file)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .map(WorkNonce::new)
        .filter(|nonce| work_bits(relay, *nonce) >= wanted);
    Some(found.unwrap_or_else(|| {
        let (nonce, _) = find_work(relay, 0, NonZeroU32::MAX, wanted);
        if let Err(error) = fs::write(&file, format!("{}\n", nonce.get())) {
            tracing::debug!(%error, "the work in the relay's name is searched for again next time");
        }
        nonce
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn work_is_done_once_and_again_when_more_is_asked_for() {
        let folder = TempDir::new().unwrap();
        let relay = RelayId::new([7; 32]);
        let mut config = RelayConfig {
            data_dir: folder.path().to_owned(),
            ..RelayConfig::default()
        };
        let file = folder.path().join("work");
        let mut bits = |wanted| {
            config.discovery.work_bits = wanted;
            work(&config, &relay).map(|nonce| work_bits(&relay, nonce))
        };
        assert_eq!(bits(0), None);
        assert!(!file.exists());
        assert!(bits(8) >= Some(8));
        let kept = fs::read(&file).unwrap();
        assert!(bits(4) >= Some(8), "what there is, is enough");
        assert_eq!(fs::read(&file).unwrap(), kept);
        assert!(bits(12) >= Some(12));
        fs::write(&file, "nonsense").unwrap();
        assert!(bits(8) >= Some(8));
    }
}
