//! Lanes: the streams of a circuit on a link, as records and as bytes.

mod io;
mod record;

pub(crate) use io::{DataCodec, LaneIo};
pub(crate) use record::{LaneError, LaneReader, write};
