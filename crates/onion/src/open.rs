//! What a relay does with a packet.

use crate::key::{OnionSecret, Shared};
use crate::layer::{Authentic, PeelError};
use crate::packet::Packet;
use crate::payload::{Payload, PayloadError};
use crate::question::ASSOCIATED;
use crate::record::{NextHop, PaymentBytes, Role, Terms};
use crate::reply::ReplyPath;
use coinfuse_wire::{Decode, ServiceCode};
use core::fmt;
use core::time::Duration;
use thiserror::Error;

/// A packet as one relay sees it.
#[derive(Debug)]
pub struct Opened<const N: usize> {
    /// The name of this packet at this relay, the same whenever the packet comes.
    pub tag: Tag,
    /// The relay's fee, still to be checked.
    pub payment: Option<PaymentBytes>,
    /// How long to wait before the task.
    pub delay: Duration,
    /// What to do.
    pub task: Task<N>,
}

/// What a relay is to do.
#[derive(Debug)]
pub enum Task<const N: usize> {
    /// Pass a packet on.
    ///
    /// Not to where it came from and not to oneself: only somebody who probes asks for that.
    Forward {
        /// To whom.
        next: NextHop,
        /// What.
        packet: Packet<N>,
    },
    /// Serve.
    Deliver(Delivery),
}

/// A message for a service of the relay.
pub struct Delivery {
    /// The service.
    pub service: ServiceCode,
    /// What the service is to do with the message.
    pub instruction: Vec<u8>,
    /// The message.
    pub message: Vec<u8>,
    /// Where the answer goes.
    pub reply: Option<ReplyPath>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Delivery({}, {} bytes)",
            self.service,
            self.message.len()
        )
    }
}

/// The name of a packet at one relay. Nobody but its maker can tell it at any other relay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag([u8; 16]);

impl Tag {
    pub(crate) fn of(shared: &Shared) -> Self {
        let key = shared.key(b"tag");
        Self(core::array::from_fn(|i| key[i]))
    }

    /// The bytes, as good as random.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag([scrubbed])")
    }
}

/// Why a relay does nothing with a packet. It says so to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The packet is not for this key, or somebody on the way altered it.
    #[error(transparent)]
    Peel(#[from] PeelError),
    /// The packet is as it was made, and its maker is at fault.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

impl OnionSecret {
    /// Takes this relay's layer off.
    pub fn open<const N: usize>(&self, packet: Packet<N>) -> Result<Opened<N>, OpenError> {
        Authentic::check(self, packet, ASSOCIATED)
            .map_err(|_| PeelError::Mac)?
            .open()
    }
}

impl<const N: usize> Authentic<N> {
    pub(crate) fn open(self) -> Result<Opened<N>, OpenError> {
        let tag = Tag::of(self.shared());
        let (payload, shared, next) = self.payload()?;
        let record = payload.open(&shared)?;
        let Terms { payment, delay } = record.terms;
        Ok(Opened {
            tag,
            payment,
            delay,
            task: task(record.role, payload, next)?,
        })
    }

    /// Takes the layer off and reads the payload of our network.
    pub(crate) fn payload(self) -> Result<(Payload, Shared, Option<Packet<N>>), OpenError> {
        let (peeled, shared) = self.peel()?;
        let payload = Payload::from_bytes(&peeled.payload).map_err(PayloadError::from)?;
        Ok((payload, shared, peeled.next))
    }
}

fn task<const N: usize>(
    role: Role,
    payload: Payload,
    next: Option<Packet<N>>,
) -> Result<Task<N>, PayloadError> {
    match (role, next) {
        (Role::Forward { next }, Some(packet)) if payload.is_bare() => {
            Ok(Task::Forward { next, packet })
        }
        (
            Role::Deliver {
                service,
                instruction,
            },
            None,
        ) => Ok(Task::Deliver(Delivery {
            service,
            instruction,
            message: payload.message,
            reply: payload.reply,
        })),
        _ => Err(PayloadError::Place),
    }
}
