//! Packet lanes: the streams on which one-shot packets travel between neighbours.

use super::{LaneError, write};
use crate::link::Link;
use coinfuse_circuit::LaneHeader;
use coinfuse_directory::{Identity, verify_signature};
use coinfuse_onion::{Frame, FrameKind, INTRODUCTION_LABEL, Introduction};
use coinfuse_wire::{Encode, RelayId};
use quinn::{RecvStream, SendStream};

/// What an introduction is signed for.
const DOMAIN: &str = "coinfuse packet lane v1";

/// Opens a packet lane on a link that we dialled; a relay introduces itself with its identity.
pub(crate) async fn open_packet_lane(
    link: &Link,
    identity: Option<&Identity>,
) -> Result<(FrameSender, FrameReader), LaneError> {
    let (mut send, recv) = link.open_bi().await.map_err(|_| LaneError::Lost)?;
    write(&mut send, LaneHeader::Packets.to_bytes().into()).await?;
    let mut sender = FrameSender(send);
    if let Some(identity) = identity {
        let exported = link
            .export_keying_material(INTRODUCTION_LABEL)
            .ok_or(LaneError::Lost)?;
        let introduction = Introduction {
            relay: identity.relay_id(),
            signature: identity.sign(DOMAIN, &exported),
        };
        sender.send(&Frame::Introduction(introduction)).await?;
    }
    Ok((sender, FrameReader::new(recv)))
}

/// The relay that an introduction proves, if it does so on this link.
pub(crate) fn introduced(link: &Link, introduction: &Introduction) -> Option<RelayId> {
    let exported = link.export_keying_material(INTRODUCTION_LABEL)?;
    let Introduction { relay, signature } = introduction;
    verify_signature(relay, DOMAIN, &exported, signature).ok()?;
    Some(*relay)
}

/// The sending half of a packet lane.
pub(crate) struct FrameSender(SendStream);

impl FrameSender {
    /// For a lane that the neighbour opened.
    pub(crate) const fn new(send: SendStream) -> Self {
        Self(send)
    }

    /// Hands a frame to the link; waits while the neighbour does not read. Give the lane up if
    /// this future is dropped before its end.
    pub(crate) async fn send(&mut self, frame: &Frame) -> Result<(), LaneError> {
        write(&mut self.0, frame.to_bytes().into()).await
    }
}

/// The receiving half of a packet lane.
pub(crate) struct FrameReader {
    recv: RecvStream,
    kind: Option<FrameKind>,
    body: Vec<u8>,
}

impl FrameReader {
    /// For a lane of which the header was read.
    pub(crate) const fn new(recv: RecvStream) -> Self {
        Self {
            recv,
            kind: None,
            body: Vec::new(),
        }
    }

    /// The next frame; `None` at the lane's end. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, LaneError> {
        let kind = match self.kind {
            Some(kind) => kind,
            None => {
                let mut byte = [0];
                let read = self.recv.read(&mut byte).await;
                if read.map_err(|_| LaneError::Lost)?.is_none() {
                    return Ok(None);
                }
                *self
                    .kind
                    .insert(FrameKind::from_byte(byte[0]).map_err(|_| LaneError::Frame)?)
            }
        };
        while self.body.len() < kind.body_len() {
            let missing = kind.body_len() - self.body.len();
            let chunk = self.recv.read_chunk(missing, true).await;
            match chunk.map_err(|_| LaneError::Lost)? {
                Some(chunk) => self.body.extend_from_slice(&chunk.bytes),
                None => return Err(LaneError::Truncated),
            }
        }
        self.kind = None;
        let body = core::mem::take(&mut self.body);
        let frame = Frame::from_body(kind, body).map_err(|_| LaneError::Frame)?;
        Ok(Some(frame))
    }
}
