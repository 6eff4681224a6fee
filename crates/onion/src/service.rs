//! What a service answers.

use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;
use thiserror::Error;

/// The message of an answer: what the service said, or why the relay did not ask it.
///
/// On the wire: one byte, 0 or a [`ServiceRefusal::code`]; after 0 follows what the service said.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// What the service said, in its own format.
    Served(Vec<u8>),
    /// The service was not asked.
    Refused(ServiceRefusal),
}

/// Why a relay did not ask its service, though it was paid. The codes are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[repr(u8)]
#[non_exhaustive]
pub enum ServiceRefusal {
    /// The relay does not have this service. Choose another one by its descriptor.
    #[error("the relay does not offer this service")]
    NotOffered = 1,
    /// It has as much to do as it allows itself. Ask another relay.
    #[error("the service is busy")]
    Busy = 2,
    /// The instruction is not one of this service: whoever made the packet is at fault.
    #[error("the service does not know this instruction")]
    Instruction = 3,
}

impl ServiceRefusal {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::NotOffered, Self::Busy, Self::Instruction];

    /// The number on the wire; never 0.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl Encode for Reply {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Served(answer) => {
                out.u8(0);
                out.put(answer);
            }
            Self::Refused(refusal) => out.u8(refusal.code()),
        }
    }
}

impl Decode for Reply {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = reader.u8("reply")?;
        if code == 0 {
            return Ok(Self::Served(reader.rest().to_vec()));
        }
        let refusal = ServiceRefusal::ALL
            .into_iter()
            .find(|refusal| refusal.code() == code);
        refusal.map(Self::Refused).ok_or(DecodeError::Unknown {
            what: "reply",
            got: code.into(),
        })
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served(answer) => write!(f, "Served({} bytes)", answer.len()),
            Self::Refused(refusal) => write!(f, "Refused({refusal:?})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_survive_their_encoding() {
        let refused = ServiceRefusal::ALL.map(Reply::Refused);
        for reply in [Reply::Served(vec![]), Reply::Served(vec![0, 1])]
            .into_iter()
            .chain(refused)
        {
            assert_eq!(Reply::from_bytes(&reply.to_bytes()), Ok(reply));
        }
    }

    #[test]
    fn nothing_else_is_a_reply() {
        for bytes in [&[][..], &[4], &[255, 0], &[1, 0]] {
            assert!(Reply::from_bytes(bytes).is_err(), "{bytes:?}");
        }
    }
}
