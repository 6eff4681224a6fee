//! What the DHT finds here.

use crate::book::Book;
use crate::keys::Name;
use crate::providers::Providers;
use core::iter;
use libp2p::PeerId;
use libp2p::kad::store::{Error, RecordStore, Result};
use libp2p::kad::{ProviderRecord, Record, RecordKey};
use std::borrow::Cow;

/// The record store: the book, under other names, and the announcements of providers.
///
/// Records from elsewhere come in through the node, which checks them; libp2p itself puts only our
/// own. Nothing is handed to libp2p for replication: relays keep their books equal by themselves.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) book: Book,
    pub(crate) providers: Providers,
}

impl Store {
    pub(crate) fn new(book: Book) -> Self {
        Self {
            book,
            providers: Providers::default(),
        }
    }
}

impl RecordStore for Store {
    type RecordsIter<'a> = iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = iter::Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        let Some(Name::Relay(hash)) = Name::parse(key.as_ref()) else {
            return None;
        };
        let descriptor = self.book.by_hash(&hash)?;
        let value = descriptor.as_bytes().to_vec();
        Some(Cow::Owned(Record::new(key.clone(), value)))
    }

    fn put(&mut self, record: Record) -> Result<()> {
        match self.get(&record.key) {
            Some(known) if known.value == record.value => Ok(()),
            _ => Err(Error::MaxRecords),
        }
    }

    fn remove(&mut self, _key: &RecordKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        iter::empty()
    }

    fn add_provider(&mut self, record: ProviderRecord) -> Result<()> {
        self.providers
            .claim(record)
            .map_err(|_| Error::MaxProvidedKeys)
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        self.providers.named(key.as_ref()).to_vec()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        iter::empty()
    }

    fn remove_provider(&mut self, key: &RecordKey, peer: &PeerId) {
        self.providers.unclaim(key.as_ref(), peer);
    }
}
