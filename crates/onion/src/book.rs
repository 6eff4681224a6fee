//! The answers that a client waits for.

use crate::key::OnionKey;
use crate::open::OpenError;
use crate::packet::Packet;
use crate::reply::ReplyTicket;
use coinfuse_wire::Instant;
use core::fmt;
use std::collections::HashMap;
use thiserror::Error;

/// The reply paths that a client has given away, each with a note of the client's own of what was
/// asked. An answer is accepted once, and only on the path that was laid for it.
pub struct ReplyBook<T> {
    open: HashMap<OnionKey, Waiting<T>>,
    capacity: usize,
}

struct Waiting<T> {
    ticket: ReplyTicket,
    until: Instant,
    note: T,
}

/// As many answers are waited for as the book has room for. Wait, or give some up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{capacity} answers are waited for already")]
pub struct BookFull {
    /// How many answers the book has room for.
    pub capacity: usize,
}

/// Why a packet is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// No path ends with this packet: it is a second answer, too late, or never was one.
    #[error("nobody waits for this packet")]
    NotExpected,
    /// Somebody on the path altered it, or the one who answers did not make it right. The path
    /// stays open for the right answer.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl<T> ReplyBook<T> {
    /// A book with room for `capacity` answers, each about 200 bytes and the note.
    pub fn new(capacity: usize) -> Self {
        Self {
            open: HashMap::new(),
            capacity,
        }
    }

    /// Waits for an answer `until` then.
    pub fn wait(&mut self, ticket: ReplyTicket, until: Instant, note: T) -> Result<(), BookFull> {
        if self.open.len() >= self.capacity {
            return Err(BookFull {
                capacity: self.capacity,
            });
        }
        let waiting = Waiting {
            ticket,
            until,
            note,
        };
        self.open.insert(waiting.ticket.ephemeral, waiting);
        Ok(())
    }

    /// Takes a packet that came to the client's mailbox: what it answers, and the message.
    pub fn receive<const N: usize>(
        &mut self,
        now: Instant,
        packet: Packet<N>,
    ) -> Result<(T, Vec<u8>), ReplyError> {
        let key = packet.ephemeral;
        let waiting = match self.open.get(&key) {
            Some(waiting) if now < waiting.until => waiting,
            _ => return Err(ReplyError::NotExpected),
        };
        let message = waiting.ticket.open(packet)?;
        let waiting = self.open.remove(&key).ok_or(ReplyError::NotExpected)?;
        Ok((waiting.note, message))
    }

    /// Gives up the answers whose notes are not to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.open.retain(|_, waiting| keep(&waiting.note));
    }

    /// Gives up the answers that have not come in time; their notes.
    pub fn expire(&mut self, now: Instant) -> Vec<T> {
        let late = self.open.extract_if(|_, waiting| waiting.until <= now);
        late.map(|(_, waiting)| waiting.note).collect()
    }

    /// When [`ReplyBook::expire`] next has something to do.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.open.values().map(|waiting| waiting.until).min()
    }

    /// How many answers are waited for.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// True when no answer is waited for.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

impl<T> fmt::Debug for ReplyBook<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyBook({} of {})", self.open.len(), self.capacity)
    }
}
