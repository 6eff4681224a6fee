//! What is wrong with a source.

use crate::sources::Source;
use libp2p::{Multiaddr, PeerId};
use std::collections::HashMap;
use thiserror::Error;

/// Why a source was of no use when it was tried last, and who can do something about that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum SourceTrouble {
    /// No connection could be made.
    #[error(
        "nobody answers at its address; check the address and the network here, or ask its operator"
    )]
    Unreachable,
    /// Somebody else is at its address.
    #[error("a peer with another key answers at its address; ask its operator for what is right")]
    OtherKey,
    /// It was not tried; see
    /// [`private_addresses`](crate::DiscoveryConfig::private_addresses).
    #[error(
        "its address is not on the public Internet; allow private addresses here if this is a \
         network of one's own"
    )]
    NotPublic,
    /// It was not tried; see [`Limits`](crate::Limits).
    #[error("this node may have no more connections or memory; raise its limits")]
    OwnLimits,
    /// It hung up, or was silent for too long.
    #[error(
        "it is connected but does not answer; it has too much to do, or its operator has to see to it"
    )]
    NoAnswer,
    /// It speaks no protocol that directories are compared by.
    #[error(
        "it hands out no directory; it is a client or of another version: ask another source, or \
         its operator"
    )]
    NoDirectory,
    /// It asked to be asked later.
    #[error("it has too much to do, and is asked again later")]
    Busy,
    /// It answered something else than it was asked.
    #[error("its answers make no sense; its operator has to see to that")]
    Senseless,
    /// It has nothing that holds now.
    #[error(
        "all its descriptors, {untimely}, are expired or from the future; the clock here is \
         probably wrong"
    )]
    Clock {
        /// How many it has.
        untimely: usize,
    },
    /// It handed out what its relay never signed.
    #[error("it forged a descriptor, and is not asked for a day; use another source")]
    Forged,
}

impl SourceTrouble {
    /// Whether it is the same thing, whatever the numbers.
    fn is_like(self, other: Self) -> bool {
        core::mem::discriminant(&self) == core::mem::discriminant(&other)
    }

    /// Whether somebody should look into it.
    fn is_grave(self) -> bool {
        self != Self::Busy
    }
}

/// What is wrong with which source. That of a bootstrap peer is told to the operator, who has named it,
/// once until it changes.
#[derive(Debug)]
pub(crate) struct Troubles {
    bootstrap: HashMap<PeerId, Option<Multiaddr>>,
    noted: HashMap<PeerId, SourceTrouble>,
}

impl Troubles {
    pub(crate) fn of_bootstrap(peers: &[Source]) -> Self {
        let named = peers
            .iter()
            .map(|one| (one.peer, one.addresses.first().cloned()));
        Self {
            bootstrap: named.collect(),
            noted: HashMap::new(),
        }
    }

    pub(crate) fn of(&self, peer: &PeerId) -> Option<SourceTrouble> {
        self.noted.get(peer).copied()
    }

    pub(crate) fn note(&mut self, peer: PeerId, trouble: SourceTrouble) {
        let before = self.noted.insert(peer, trouble);
        let is_new = before.is_none_or(|before| !before.is_like(trouble));
        if is_new
            && trouble.is_grave()
            && let Some(address) = self.bootstrap.get(&peer)
        {
            let address = address.as_ref().map(tracing::field::display);
            tracing::warn!(%peer, address, %trouble, "a bootstrap peer is of no use");
        }
    }

    /// A source was heard, and nothing was wrong.
    pub(crate) fn is_well(&mut self, peer: &PeerId) {
        let before = self.noted.remove(peer);
        if before.is_some_and(SourceTrouble::is_grave)
            && let Some(address) = self.bootstrap.get(peer)
        {
            let address = address.as_ref().map(tracing::field::display);
            tracing::info!(%peer, address, "a bootstrap peer is of use again");
        }
    }

    /// Forgets those that are no bootstrap peers, and that `others` does not name.
    pub(crate) fn keep(&mut self, others: impl Fn(&PeerId) -> bool) {
        self.noted
            .retain(|peer, _| self.bootstrap.contains_key(peer) || others(peer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    /// Notes how loud each thing was that was said.
    #[derive(Debug, Default, Clone)]
    struct Said(Arc<Mutex<Vec<Level>>>);

    impl Subscriber for Said {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            self.0.lock().unwrap().push(*event.metadata().level());
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    impl Said {
        fn take(&self) -> Vec<Level> {
            core::mem::take(&mut self.0.lock().unwrap())
        }
    }

    #[test]
    fn the_operator_is_told_once_until_something_changes() {
        let said = Said::default();
        let _here = tracing::subscriber::set_default(said.clone());
        let named = Source {
            peer: PeerId::random(),
            addresses: vec!["/ip4/192.0.2.1/tcp/1".parse().unwrap()],
            relay: None,
        };
        let (peer, other) = (named.peer, PeerId::random());
        let mut troubles = Troubles::of_bootstrap(&[named]);
        troubles.note(peer, SourceTrouble::Unreachable);
        assert_eq!(said.take(), [Level::WARN]);
        troubles.note(peer, SourceTrouble::Unreachable);
        troubles.note(other, SourceTrouble::Unreachable);
        assert!(said.take().is_empty());
        troubles.note(peer, SourceTrouble::Clock { untimely: 7 });
        troubles.note(peer, SourceTrouble::Clock { untimely: 8 });
        assert_eq!(said.take(), [Level::WARN]);
        troubles.is_well(&peer);
        troubles.is_well(&peer);
        troubles.is_well(&other);
        assert_eq!(said.take(), [Level::INFO]);
        // Who has too much to do is not to be blamed.
        troubles.note(peer, SourceTrouble::Busy);
        troubles.is_well(&peer);
        assert!(said.take().is_empty());
    }

    #[test]
    fn only_what_concerns_sources_is_kept() {
        let named = Source {
            peer: PeerId::random(),
            addresses: Vec::new(),
            relay: None,
        };
        let (peer, source, gone) = (named.peer, PeerId::random(), PeerId::random());
        let mut troubles = Troubles::of_bootstrap(&[named]);
        for peer in [peer, source, gone] {
            troubles.note(peer, SourceTrouble::NoAnswer);
        }
        troubles.keep(|one| *one == source);
        let kept = [peer, source, gone].map(|peer| troubles.of(&peer).is_some());
        assert_eq!(kept, [true, true, false]);
    }
}
