//! A way there and back, and the vouchers for it.

use coinfuse_voucher::{Bought, VoucherId};
use coinfuse_wire::{Msat, PacketSize, RelayId, ServiceCode};
use core::fmt;

/// What a packet is for, as far as its price depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Errand {
    pub(super) service: ServiceCode,
    pub(super) size: PacketSize,
}

/// A way there and back that was drawn ahead, with the vouchers for it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Journey {
    /// At random: names it in the purse.
    pub(super) number: u64,
    pub(super) errand: Errand,
    /// Ends at the relay with the service.
    pub(super) there: Vec<Leg>,
    /// Ends at the first relay of the way there.
    pub(super) back: Vec<Leg>,
}

/// One relay that is passed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) relay: RelayId,
    /// None for a relay that costs nothing.
    pub(super) voucher: Option<Bought>,
}

impl fmt::Debug for Journey {
    /// Not over whom.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Journey({} there, {} back)",
            self.there.len(),
            self.back.len()
        )
    }
}

impl Journey {
    /// All legs in order, and whether the service is asked at the end of each.
    pub(super) fn legs(&self) -> impl Iterator<Item = (&Leg, bool)> {
        let last = self.there.len().saturating_sub(1);
        let there = self.there.iter().enumerate();
        let there = there.map(move |(place, leg)| (leg, place == last));
        there.chain(self.back.iter().map(|leg| (leg, false)))
    }

    pub(super) fn vouchers(&self) -> impl Iterator<Item = &Bought> {
        self.legs().filter_map(|(leg, _)| leg.voucher.as_ref())
    }

    pub(super) fn voucher_ids(&self) -> Vec<VoucherId> {
        self.vouchers().map(|voucher| voucher.id).collect()
    }

    pub(super) fn value(&self) -> Msat {
        self.vouchers().map(|voucher| voucher.value).sum()
    }
}

/// The account for which a voucher of a packet is bought. Packets have no accounts and nobody is
/// shown this: it tells this client after a restart which vouchers belong together.
///
/// | bytes | field |
/// |---|---|
/// | 16 | the client's own, the same for all |
/// | 8 | the journey's number |
/// | 1, 1, 1 | the leg's place, legs there, legs back |
/// | 1 | size: 1 small, 2 large |
/// | 2 | service |
/// | 2 | zeros |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) number: u64,
    pub(super) place: u8,
    pub(super) there: u8,
    pub(super) back: u8,
    pub(super) errand: Errand,
}

/// What all tags of one client begin with.
pub(super) type Prefix = [u8; 16];

impl Tag {
    pub(super) fn to_account(self, prefix: &Prefix) -> [u8; 32] {
        let mut account = [0; 32];
        account[..16].copy_from_slice(prefix);
        account[16..24].copy_from_slice(&self.number.to_be_bytes());
        account[24..27].copy_from_slice(&[self.place, self.there, self.back]);
        account[27] = match self.errand.size {
            PacketSize::Small => 1,
            PacketSize::Large => 2,
        };
        account[28..30].copy_from_slice(&self.errand.service.get().to_be_bytes());
        account
    }

    /// None for a voucher that is not for a packet of this client.
    pub(super) fn of(account: &[u8; 32], prefix: &Prefix) -> Option<Self> {
        let rest = account.strip_prefix(prefix)?;
        let (number, rest) = rest.split_first_chunk()?;
        let [place, there, back, size, rest @ ..] = rest else {
            return None;
        };
        let size = match size {
            1 => PacketSize::Small,
            2 => PacketSize::Large,
            _ => return None,
        };
        let (service, rest) = rest.split_first_chunk()?;
        let tag = Self {
            number: u64::from_be_bytes(*number),
            place: *place,
            there: *there,
            back: *back,
            errand: Errand {
                service: ServiceCode::new(u16::from_be_bytes(*service)),
                size,
            },
        };
        (*rest == [0, 0]).then_some(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_survives_and_others_are_not_ours() {
        let tag = Tag {
            number: 0x0102_0304_0506_0708,
            place: 5,
            there: 3,
            back: 4,
            errand: Errand {
                service: ServiceCode::MEMPOOL,
                size: PacketSize::Large,
            },
        };
        let account = tag.to_account(&[7; 16]);
        assert_eq!(Tag::of(&account, &[7; 16]), Some(tag));
        assert_eq!(Tag::of(&account, &[8; 16]), None);
        for (place, value) in [(27, 0), (27, 3), (30, 1), (31, 1)] {
            let mut other = account;
            other[place] = value;
            assert_eq!(Tag::of(&other, &[7; 16]), None);
        }
    }
}
