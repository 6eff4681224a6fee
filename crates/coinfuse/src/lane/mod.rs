//! Lanes: the streams of a circuit on a link, as records and as bytes; and those of packets.

mod io;
mod packets;
mod record;

pub(crate) use io::{DataCodec, LaneIo};
pub(crate) use packets::{FrameReader, FrameSender, introduced, open_packet_lane};
pub(crate) use record::{LaneError, LaneReader, write};
