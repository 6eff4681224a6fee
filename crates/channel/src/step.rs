//! Save, then speak: a machine's next state is only had by writing down what changed.

use crate::params::ChannelId;
use core::fmt;
use zeroize::Zeroizing;

/// One thing to write down: `bytes` under `(channel, part)`, over what was there.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Which channel.
    pub channel: ChannelId,
    /// Which part of its state. The parts that were written are read back together.
    pub part: u8,
    /// What to write; secret.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Row({:?}, part {}, [scrubbed])", self.channel, self.part)
    }
}

/// A state that is reached when its row is durable, and not before.
#[derive(Debug)]
#[must_use = "nothing happens until the row is saved"]
pub struct Unsaved<S> {
    row: Row,
    next: S,
}

/// The row was not written, or nobody knows. The step can be saved again; writing a row twice
/// changes nothing.
#[derive(Debug)]
pub struct NotSaved<S, E> {
    /// What was to be saved.
    pub step: Unsaved<S>,
    /// What the storage said.
    pub error: E,
}

impl<S> Unsaved<S> {
    pub(crate) fn new(channel: ChannelId, part: u8, bytes: Vec<u8>, next: S) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self {
            row: Row {
                channel,
                part,
                bytes,
            },
            next,
        }
    }

    /// What has to be written.
    pub const fn row(&self) -> &Row {
        &self.row
    }

    /// Writes the row; the next state, once it is durable.
    ///
    /// # Errors
    ///
    /// [`NotSaved`] with the step, if `write` fails.
    pub fn save<E>(self, write: impl FnOnce(&Row) -> Result<(), E>) -> Result<S, NotSaved<S, E>> {
        match write(&self.row) {
            Ok(()) => Ok(self.next),
            Err(error) => Err(NotSaved { step: self, error }),
        }
    }

    /// The same where writing takes its time. If the future is dropped, the state is lost to this
    /// process, and what was written has to be loaded.
    ///
    /// # Errors
    ///
    /// As [`Self::save`].
    pub async fn save_async<E, F>(self, write: impl FnOnce(Row) -> F) -> Result<S, NotSaved<S, E>>
    where
        F: Future<Output = Result<(), E>>,
    {
        match write(self.row.clone()).await {
            Ok(()) => Ok(self.next),
            Err(error) => Err(NotSaved { step: self, error }),
        }
    }
}
