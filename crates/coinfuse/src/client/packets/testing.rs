//! Relays and vouchers for the tests of what is bought ahead.

use super::journey::{Errand, Journey, Leg, Prefix, Tag};
use cashu::SecretKey;
use coinfuse_directory::{
    Descriptor, DescriptorBody, Directory, Identity, LinkKey, MintOffer, MintUnit, OnionKey,
    PacketKey, PacketNeed, PacketOffer, PacketPrice, RelayKeys, VoucherKey as Published,
};
use coinfuse_onion::OnionSecret;
use coinfuse_voucher::{Bought, Denomination, MintId, Unit, VoucherBlank, VoucherKey};
use coinfuse_wire::{Msat, PacketSize, RelayId, ServiceCode, UnixTime};
use core::time::Duration;
use std::str::FromStr;

pub(in crate::client) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(super) const PREFIX: Prefix = [7; 16];
pub(super) const ERRAND: Errand = Errand {
    service: ServiceCode::MEMPOOL,
    size: PacketSize::Small,
};

/// What every relay asks for, and what 64 and 256 msat pay.
pub(super) const PRICE: PacketPrice = PacketPrice {
    small: Msat::new(60),
    large: Msat::new(400),
    service: Msat::new(190),
    delay: Msat::new(1),
};

pub(in crate::client) fn identity(number: u8) -> Identity {
    Identity::from_seed([number; 32])
}

pub(in crate::client) fn id(number: u8) -> RelayId {
    identity(number).relay_id()
}

fn voucher_key(number: u8) -> VoucherKey {
    VoucherKey::from_secret_bytes([number; 32]).unwrap()
}

pub(super) fn mint() -> MintId {
    MintId::new("http://mint.example", Unit::Msat).unwrap()
}

/// A relay that takes packets and has the service.
pub(in crate::client) fn relay(number: u8, change: impl FnOnce(&mut DescriptorBody)) -> Descriptor {
    let keys = RelayKeys {
        link: LinkKey::new([1; 32]),
        onion: OnionKey::new([2; 32]),
        voucher: Published::new(voucher_key(number).public_key().to_bytes()),
    };
    let identity = identity(number);
    let mut body = DescriptorBody::new(&identity, keys, NOW);
    body.addresses.push("192.0.2.1:4433".parse().unwrap());
    body.services.insert(ServiceCode::MEMPOOL);
    body.mints.push(MintOffer {
        url: "http://mint.example".parse().unwrap(),
        unit: MintUnit::Msat,
        issuer: false,
    });
    let key = OnionSecret::from_seed(&[number; 32]).public_key();
    body.packets = Some(PacketOffer {
        key: PacketKey::new(key.to_bytes()),
        good_until: NOW.saturating_add(DAY),
        price: PRICE,
        max_delay: Duration::ZERO,
    });
    change(&mut body);
    body.sign(&identity).unwrap()
}

pub(in crate::client) fn directory(relays: impl IntoIterator<Item = Descriptor>) -> Directory {
    let mut directory = Directory::new();
    directory.extend(relays);
    directory
}

pub(super) fn need() -> PacketNeed {
    PacketNeed {
        size: PacketSize::Small,
        delay: Duration::ZERO,
        until: NOW,
        ceiling: PRICE,
    }
}

/// A voucher as the purse gives it out; nobody has signed it.
pub(super) fn voucher(relay: u8, units: u64, account: [u8; 32], locked_for: Duration) -> Bought {
    let key = voucher_key(relay).public_key();
    let keyset = cashu::Id::from_str("009a1f293253e41e").unwrap();
    // The account makes it unlike others.
    let coin = Denomination::from_units(units).unwrap();
    let until = NOW.saturating_add(locked_for);
    let blank = VoucherBlank::new(&key, &account, coin, keyset, until).unwrap();
    Bought {
        id: blank.id(),
        relay: id(relay),
        voucher_key: key,
        mint: mint(),
        account,
        value: Msat::new(units),
        voucher: blank.complete(SecretKey::from_slice(&[9; 32]).unwrap().public_key(), None),
    }
}

/// What was bought for a journey over these relays.
pub(super) fn bought(number: u64, there: &[u8], back: &[u8]) -> Vec<Bought> {
    let legs = there.iter().chain(back).enumerate();
    legs.map(|(place, relay)| {
        let tag = Tag {
            number,
            place: place as u8,
            there: there.len() as u8,
            back: back.len() as u8,
            errand: ERRAND,
        };
        let units = if place + 1 == there.len() { 256 } else { 64 };
        voucher(*relay, units, tag.to_account(&PREFIX), 30 * DAY)
    })
    .collect()
}

/// The journey that comes of it.
pub(super) fn journey(number: u64, there: &[u8], back: &[u8]) -> Journey {
    let legs = bought(number, there, back).into_iter();
    let mut legs: Vec<_> = legs
        .map(|voucher| Leg {
            relay: voucher.relay,
            voucher: Some(voucher),
        })
        .collect();
    let back = legs.split_off(there.len());
    Journey {
        number,
        errand: ERRAND,
        there: legs,
        back,
    }
}
