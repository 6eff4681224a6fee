//! What the first bytes of a QUIC stream on a link say.
//!
//! A circuit has two lanes on each link, each a bidirectional stream of its own: the *control
//! lane*, opened with the handshake, and the *data lane*, opened when there is data. They are not
//! ordered among each other, so control is never behind data.
//!
//! ```text
//! control lane  1 | circuit u32 | suite u8 | length u16 | handshake      then records
//!   answered    0 | length u16 | handshake                               then records
//!           or  refusal u8                                               and the stream ends
//! data lane     2 | circuit u32                                          then records
//! packet lane   3                                                        then frames
//! ```
//!
//! The circuit number is chosen by the side that opens the circuit and means something on this
//! link only. A *packet lane* belongs to no circuit: one-shot packets travel on it, one behind the
//! other; `docs/spec/onion.md` has its frames.

use crate::session::MAX_HANDSHAKE;
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;

/// Names a circuit on one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CircuitNumber(pub u32);

/// The fixed part of a lane's opening; for a control lane the handshake follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneHeader {
    /// A new circuit. `suite` is not judged here: a relay refuses one that it does not know with
    /// [`CreateRefusal::UnknownSuite`].
    Control {
        /// The circuit's number.
        circuit: CircuitNumber,
        /// The number of the suite.
        suite: u8,
        /// How many bytes of handshake follow.
        handshake: u16,
    },
    /// The data lane of a circuit that exists.
    Data {
        /// The circuit's number.
        circuit: CircuitNumber,
    },
    /// A lane for one-shot packets.
    Packets,
}

impl LaneHeader {
    /// How long the header is, given its first byte.
    pub fn len_from_kind(kind: u8) -> Result<usize, DecodeError> {
        match kind {
            1 => Ok(8),
            2 => Ok(5),
            3 => Ok(1),
            got => Err(DecodeError::Unknown {
                what: "lane",
                got: got.into(),
            }),
        }
    }
}

impl Encode for LaneHeader {
    fn encode(&self, out: &mut Writer) {
        match *self {
            Self::Control {
                circuit,
                suite,
                handshake,
            } => {
                out.u8(1);
                out.u32(circuit.0);
                out.u8(suite);
                out.u16(handshake);
            }
            Self::Data { circuit } => {
                out.u8(2);
                out.u32(circuit.0);
            }
            Self::Packets => out.u8(3),
        }
    }
}

impl Decode for LaneHeader {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = reader.u8("lane")?;
        Self::len_from_kind(kind)?;
        if kind == 3 {
            return Ok(Self::Packets);
        }
        let circuit = CircuitNumber(reader.u32("circuit number")?);
        if kind == 2 {
            return Ok(Self::Data { circuit });
        }
        let suite = reader.u8("suite")?;
        let handshake = reader.u16("handshake length")?;
        if usize::from(handshake) > MAX_HANDSHAKE {
            return Err(DecodeError::TooLarge {
                what: "handshake length",
                got: handshake.into(),
                max: MAX_HANDSHAKE as u64,
            });
        }
        Ok(Self::Control {
            circuit,
            suite,
            handshake,
        })
    }
}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A code from a newer version of the protocol.
            Other(
                /// The code.
                u8,
            ),
        }

        impl $name {
            /// The number on the wire.
            pub const fn code(self) -> u8 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Other(code) => code,
                }
            }

            /// The meaning of a number.
            pub const fn from_code(code: u8) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    other => Self::Other(other),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)*
                    Self::Other(code) => write!(f, "code {code}, from a newer version"),
                }
            }
        }
    };
}

codes! {
    /// Why a relay does not make a circuit.
    CreateRefusal {
        /// The handshake does not authenticate: the onion key is another one now.
        NotAuthentic = 1, "the handshake was made for another onion key; fetch the descriptor anew";
        /// The message breaks the protocol.
        Malformed = 2, "the handshake breaks the protocol";
        /// The suite is not known here.
        UnknownSuite = 3, "the relay does not speak this suite";
        /// Too many handshakes or circuits; try later or elsewhere.
        Busy = 4, "the relay is busy; try later or another one";
        /// The relay is shutting down.
        Leaving = 5, "the relay is shutting down";
        /// The circuit number is in use on this link.
        NumberInUse = 6, "the circuit number is in use";
    }
}

codes! {
    /// Why a circuit was not extended.
    ExtendRefusal {
        /// This relay does not extend circuits.
        NotOffered = 1, "the relay does not extend circuits";
        /// No address of the next hop may be dialled from here.
        AddressRefused = 2, "the relay does not dial this address";
        /// No answer from the next hop in time.
        TimedOut = 3, "the next hop does not answer";
        /// The next hop cannot be reached, or its link key is another one.
        Unreachable = 4, "the next hop cannot be reached under this link key";
        /// The circuit is extended already.
        AlreadyExtended = 5, "the circuit is extended already";
        /// The next hop refused the handshake as not authentic.
        NotAuthentic = 6, "the next hop's onion key is another one; fetch its descriptor anew";
        /// The next hop is busy.
        Busy = 7, "the next hop is busy";
        /// The next hop refused for another reason.
        Refused = 8, "the next hop refuses";
    }
}

codes! {
    /// Why a circuit is closed.
    CloseReason {
        /// Its client is done.
        Done = 0, "done";
        /// A message or record broke the protocol.
        Protocol = 1, "the other end broke the protocol";
        /// More was sent upstream than was paid for.
        Overrun = 2, "more was sent than was paid for";
        /// Nothing happened for too long.
        Idle = 3, "idle for too long";
        /// The circuit lived as long as a circuit may.
        Lifetime = 4, "the circuit reached its longest lifetime";
        /// Another circuit took over the account.
        AccountMoved = 5, "another circuit took over the account";
        /// The relay needs the memory.
        Overload = 6, "the relay is overloaded";
        /// The relay is shutting down.
        Leaving = 7, "the relay is shutting down";
        /// The two ends count differently.
        MeterMismatch = 8, "the two ends count differently";
        /// The next hop went away.
        NextHopLost = 9, "the next hop went away";
        /// Unpaid for too long.
        Unpaid = 10, "unpaid for too long";
    }
}

impl CreateRefusal {
    /// What the relay that was asked to extend tells the client.
    pub fn as_extend_refusal(self) -> ExtendRefusal {
        match self {
            Self::NotAuthentic => ExtendRefusal::NotAuthentic,
            Self::Busy | Self::Leaving => ExtendRefusal::Busy,
            _ => ExtendRefusal::Refused,
        }
    }
}
