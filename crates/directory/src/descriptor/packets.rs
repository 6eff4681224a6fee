//! The terms on which a relay takes one-shot packets.

use super::keys::PacketKey;
use coinfuse_wire::{Decode, DecodeError, Encode, Msat, PacketSize, Reader, UnixTime, Writer};
use core::time::Duration;

/// On which terms a relay takes one-shot packets.
///
/// On the wire: key (33 bytes), `u64` seconds, four varints in msat, `u32` milliseconds, in the
/// order of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketOffer {
    /// The key that packets are made for.
    pub key: PacketKey,
    /// Until when packets for this key are taken.
    pub good_until: UnixTime,
    /// What a packet costs.
    pub price: PacketPrice,
    /// The longest delay that a packet may ask for, in whole milliseconds.
    pub max_delay: Duration,
}

/// What one packet costs at one relay.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct PacketPrice {
    /// Taking and passing on a packet of 4 KiB.
    pub small: Msat,
    /// The same for 32 KiB.
    pub large: Msat,
    /// On top, when the packet asks a service of this relay.
    pub service: Msat,
    /// On top, for each second of delay that the packet asks for, a begun one counting whole.
    pub delay: Msat,
}

impl PacketPrice {
    /// The fee for one packet. Zero means that nothing need be paid. A fee is paid with one
    /// voucher, whose value is a power of two, so prices that add up to one are the cheapest to
    /// pay.
    pub fn fee(&self, size: PacketSize, asks_service: bool, delay: Duration) -> Msat {
        let carriage = match size {
            PacketSize::Small => self.small,
            PacketSize::Large => self.large,
        };
        let service = match asks_service {
            true => self.service,
            false => Msat::ZERO,
        };
        let seconds = delay
            .as_secs()
            .saturating_add(u64::from(delay.subsec_nanos() > 0));
        let delay = Msat::new(self.delay.get().saturating_mul(seconds));
        carriage.saturating_add(service).saturating_add(delay)
    }
}

impl Encode for PacketOffer {
    fn encode(&self, out: &mut Writer) {
        let PacketPrice {
            small,
            large,
            service,
            delay,
        } = self.price;
        out.value(&self.key);
        out.value(&self.good_until);
        for price in [small, large, service, delay] {
            out.varint(price.get());
        }
        out.u32(u32::try_from(self.max_delay.as_millis()).unwrap_or(u32::MAX));
    }
}

impl Decode for PacketOffer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let key = PacketKey::decode(reader)?;
        let good_until = UnixTime::decode(reader)?;
        let mut price = || reader.varint("price of packets").map(Msat::new);
        let price = PacketPrice {
            small: price()?,
            large: price()?,
            service: price()?,
            delay: price()?,
        };
        let max_delay = Duration::from_millis(reader.u32("longest delay")?.into());
        Ok(Self {
            key,
            good_until,
            price,
            max_delay,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_is_the_sum_of_what_is_asked_for() {
        let price = PacketPrice {
            small: Msat::new(16),
            large: Msat::new(64),
            service: Msat::new(100),
            delay: Msat::new(3),
        };
        let (small, large) = (PacketSize::Small, PacketSize::Large);
        assert_eq!(price.fee(small, false, Duration::ZERO), Msat::new(16));
        assert_eq!(price.fee(large, true, Duration::ZERO), Msat::new(164));
        // A begun second counts whole.
        assert_eq!(
            price.fee(small, false, Duration::from_millis(1)),
            Msat::new(19)
        );
        assert_eq!(
            price.fee(small, false, Duration::from_secs(2)),
            Msat::new(22)
        );
        let dear = PacketPrice {
            delay: Msat::MAX,
            ..price
        };
        assert_eq!(dear.fee(large, true, Duration::MAX), Msat::MAX);
    }
}
