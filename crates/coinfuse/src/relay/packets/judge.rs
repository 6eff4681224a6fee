//! What to do with a packet: everything that can be said of it without asking the disk.

use super::stats::Event;
use crate::store::{CollectedVoucher, VoucherKey};
use coinfuse_directory::PacketPrice;
use coinfuse_onion::{
    Delivery, KeyRing, LARGE, NextHop, OpenError, Opened, Packet, PacketError, PaymentBytes,
    PeelError, SMALL, Tag, Task,
};
use coinfuse_voucher::{Verifier, Voucher};
use coinfuse_wire::{Decode, Encode, Msat, PacketSize, RelayId, UnixTime};
use core::time::Duration;

/// A packet as it came.
pub(super) struct Arrival {
    pub(super) size: PacketSize,
    pub(super) bytes: Vec<u8>,
    /// The relay that sent it, if a relay did.
    pub(super) from: Option<RelayId>,
}

/// What this relay asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct House {
    pub(super) id: RelayId,
    pub(super) price: PacketPrice,
    pub(super) max_delay: Duration,
}

/// A packet that is to be served, if nobody had its voucher before.
pub(super) struct Admitted {
    pub(super) tag: Tag,
    /// None for what is free.
    pub(super) voucher: Option<CollectedVoucher>,
    pub(super) work: Work,
}

/// What is to be done for a packet.
pub(super) struct Work {
    pub(super) delay: Duration,
    pub(super) size: PacketSize,
    pub(super) job: Job,
}

/// The task, without the type that a packet's size is.
pub(super) enum Job {
    /// Pass these bytes on.
    Forward { next: NextHop, bytes: Vec<u8> },
    /// Ask a service.
    Serve(Box<Delivery>),
}

impl Work {
    /// The memory that it holds, nearly.
    pub(super) const fn len(&self) -> usize {
        self.size.len()
    }
}

/// Judges one packet. Changes nothing: whoever calls remembers the tag of what is admitted.
pub(super) fn judge(
    house: &House,
    ring: &KeyRing,
    verifier: &Verifier,
    now: UnixTime,
    arrival: &Arrival,
) -> Result<Admitted, Event> {
    let at = At {
        house,
        ring,
        verifier,
        now,
        from: arrival.from,
        size: arrival.size,
    };
    match arrival.size {
        PacketSize::Small => at.judge::<SMALL>(&arrival.bytes),
        PacketSize::Large => at.judge::<LARGE>(&arrival.bytes),
    }
}

/// All that a judgement depends on beside the packet.
struct At<'a> {
    house: &'a House,
    ring: &'a KeyRing,
    verifier: &'a Verifier,
    now: UnixTime,
    from: Option<RelayId>,
    size: PacketSize,
}

impl At<'_> {
    /// In the order of `docs/spec/onion.md`.
    fn judge<const N: usize>(&self, bytes: &[u8]) -> Result<Admitted, Event> {
        let packet = Packet::<N>::from_bytes(bytes).map_err(|error| match error {
            PacketError::Version { .. } => Event::Version,
            // The frame has the packet's size.
            PacketError::Key | PacketError::Size { .. } => Event::Point,
        })?;
        let opened = self
            .ring
            .open(self.now, packet)
            .map_err(|error| match error {
                OpenError::Peel(PeelError::Mac) => Event::Mac,
                OpenError::Peel(_) | OpenError::Payload(_) => Event::Record,
            })?;
        if self.ring.seen(&opened.tag) {
            return Err(Event::Replayed);
        }
        self.may_go(&opened)?;
        let fee = self.fee(&opened);
        Ok(Admitted {
            tag: opened.tag,
            voucher: self.payment(fee, opened.payment.as_ref())?,
            work: Work {
                delay: opened.delay,
                size: self.size,
                job: match opened.task {
                    Task::Forward { next, packet } => Job::Forward {
                        next,
                        bytes: packet.to_bytes(),
                    },
                    Task::Deliver(delivery) => Job::Serve(Box::new(delivery)),
                },
            },
        })
    }

    /// Only somebody who probes sends a packet in a circle.
    fn may_go<const N: usize>(&self, opened: &Opened<N>) -> Result<(), Event> {
        if let Task::Forward {
            next: NextHop::Relay(next),
            ..
        } = &opened.task
            && (*next == self.house.id || Some(*next) == self.from)
        {
            return Err(Event::Circle);
        }
        match opened.delay > self.house.max_delay {
            true => Err(Event::Delay),
            false => Ok(()),
        }
    }

    fn fee<const N: usize>(&self, opened: &Opened<N>) -> Msat {
        let asks_service = matches!(opened.task, Task::Deliver(_));
        self.house.price.fee(self.size, asks_service, opened.delay)
    }

    /// A voucher that nobody asked for is taken all the same: it makes the packet known for ever.
    fn payment(
        &self,
        fee: Msat,
        payment: Option<&PaymentBytes>,
    ) -> Result<Option<CollectedVoucher>, Event> {
        let payment = match payment {
            None if fee.is_zero() => return Ok(None),
            None => return Err(Event::Unpaid),
            Some(payment) => payment.as_bytes(),
        };
        let voucher = Voucher::from_bytes(payment).map_err(|_| Event::Unpaid)?;
        let verified = self.verifier.verify(self.now, &voucher);
        let verified = verified.map_err(|_| Event::Voucher)?;
        if verified.value() < fee {
            return Err(Event::Underpaid);
        }
        Ok(Some(CollectedVoucher {
            key: VoucherKey::new(*verified.id().as_bytes()),
            value: verified.value(),
            locktime: voucher.locktime(),
            bytes: voucher.to_bytes(),
        }))
    }
}

#[cfg(test)]
mod tests;
