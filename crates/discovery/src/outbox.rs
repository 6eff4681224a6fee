//! Answers on their way.

use crate::party::Party;
use coinfuse_directory::sync::{Answer, Listing, Row, Summary};
use libp2p::request_response::InboundRequestId;
use std::collections::HashMap;

/// Bytes of answers that wait to be read by whoever asked: in total, and by party, so that some who
/// do not read leave the others theirs.
#[derive(Debug)]
pub(crate) struct Outbox {
    most: usize,
    most_of_party: usize,
    total: usize,
    parties: HashMap<Party, usize>,
    answers: HashMap<InboundRequestId, (Party, usize)>,
}

impl Outbox {
    pub(crate) fn new(most: usize, most_of_party: usize) -> Self {
        Self {
            most,
            most_of_party,
            total: 0,
            parties: HashMap::new(),
            answers: HashMap::new(),
        }
    }

    /// Whether there is room for an answer. It may be as large as answers get, so that a party can
    /// have one more than its share.
    pub(crate) fn has_room(&self, party: Party) -> bool {
        let of_party = self.parties.get(&party).copied().unwrap_or(0);
        self.total < self.most && of_party < self.most_of_party
    }

    pub(crate) fn sending(&mut self, id: InboundRequestId, party: Party, answer: &Answer) {
        let len = memory_of(answer);
        self.total += len;
        *self.parties.entry(party).or_default() += len;
        self.answers.insert(id, (party, len));
    }

    /// An answer was read, or will not be.
    pub(crate) fn sent(&mut self, id: InboundRequestId) {
        let Some((party, len)) = self.answers.remove(&id) else {
            return;
        };
        self.total -= len;
        if let Some(of_party) = self.parties.get_mut(&party) {
            *of_party -= len;
            if *of_party == 0 {
                self.parties.remove(&party);
            }
        }
    }
}

/// About how much memory an answer holds until it is sent. Not to be asked of its encoding, which
/// would be made only for that.
fn memory_of(answer: &Answer) -> usize {
    let body = match answer {
        Answer::Summary(_) => Summary::MAX_LEN,
        Answer::Listings(listings) => {
            let rows = |listing: &Listing| size_of::<Listing>() + size_of_val(listing.rows());
            listings.iter().map(rows).sum()
        }
        Answer::Changes(changes) => changes.rows.as_deref().map_or(0, size_of_val),
        Answer::Descriptors(all) => all.iter().map(|one| one.as_bytes().len()).sum(),
        _ => 0,
    };
    body + size_of::<Row>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::relay;
    use coinfuse_directory::Directory;
    use coinfuse_directory::sync::{BucketSet, Listings, RawDescriptor};
    use coinfuse_wire::Encode;

    fn directory(relays: u16) -> Directory {
        let mut directory = Directory::new();
        directory.extend((0..relays).map(|number| relay(number, |_| {})));
        directory
    }

    #[test]
    fn an_answer_is_measured_without_its_encoding() {
        let directory = directory(64);
        let raw = directory.iter().map(|one| RawDescriptor::from(&**one));
        for answer in [
            Answer::Descriptors(raw.collect()),
            Answer::Listings(Listings::of(&directory, &BucketSet::ALL)),
            Answer::Summary(Summary::of(&directory)),
            Answer::Busy,
        ] {
            let (held, encoded) = (memory_of(&answer), answer.to_bytes().len());
            let most = 3 * encoded + Summary::MAX_LEN + Listings::MAX_LEN / 64;
            assert!(
                held + 200 >= encoded && held <= most,
                "{held} for {encoded}"
            );
        }
    }
}
