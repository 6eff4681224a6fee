//! Signing, reading and believing descriptors.

use crate::{NOW, identity, keys, relay};
use coinfuse_directory::{
    BlindedId, BuildError, Descriptor, DescriptorBody, DescriptorError, Load, MintOffer, MintUnit,
    PacketKey, PacketOffer, PacketPrice, PeerKey, Price, SourceOffer, Suite, UnverifiedDescriptor,
    VoucherKey, WorkNonce, work_bits,
};
use coinfuse_wire::{ByteCount, DecodeError, Msat, Rate, ServiceCode, UnixTime};
use core::time::Duration;
use proptest::prelude::*;

fn mint(url: &str, unit: MintUnit, issuer: bool) -> MintOffer {
    MintOffer {
        url: url.parse().unwrap(),
        unit,
        issuer,
    }
}

/// Every field filled in.
fn full() -> Descriptor {
    relay(1, |body| {
        body.addresses.push("[2001:db8::1]:4433".parse().unwrap());
        body.services
            .extend([ServiceCode::EXIT, ServiceCode::new(4711)]);
        body.price = Price {
            up: Rate::from_msat_per_mib(100),
            down: Rate::from_msat_per_mib(u32::MAX),
        };
        body.mints = vec![
            mint("https://mint.example/Bitcoin", MintUnit::Sat, false),
            mint("http://127.0.0.1:3338", MintUnit::Msat, true),
        ];
        body.exit_policy = "reject *:25, accept [2001:db8::]/32:*, accept *4:80-90"
            .parse()
            .unwrap();
        body.suites = vec![Suite::CHACHA, Suite::new(77)];
        body.operator = Some("alice.example".parse().unwrap());
        body.capacity = Some(ByteCount::from_mib(12));
        body.packets = Some(PacketOffer {
            key: PacketKey::new([2; 33]),
            good_until: UnixTime::from_secs(1_800_000_000),
            price: PacketPrice {
                small: Msat::new(16),
                large: Msat::new(64),
                service: Msat::new(1 << 40),
                delay: Msat::ZERO,
            },
            max_delay: Duration::from_millis(60_001),
        });
        body.load = Some(Load::High);
        body.family = [2, 3].map(|number| identity(number).relay_id()).into();
        body.country = Some("IS".parse().unwrap());
        body.blinded_ids = [7, 8].map(|byte| BlindedId::new([byte; 32])).into();
        body.work = Some(WorkNonce::new(4711));
        body.source = Some(SourceOffer {
            key: PeerKey::new([9; 32]),
            addresses: vec!["192.0.2.1:4434".parse().unwrap()],
        });
    })
}

fn read(bytes: &[u8]) -> Result<UnverifiedDescriptor, DecodeError> {
    UnverifiedDescriptor::from_bytes(bytes)
}

#[test]
fn what_is_signed_is_what_is_read() {
    let made = full();
    let verified = read(made.as_bytes()).unwrap().verify(NOW).unwrap();
    assert_eq!(verified.body(), made.body());
    assert_eq!(verified.as_bytes(), made.as_bytes());
    assert_eq!(verified.mints[1].url.as_str(), "http://127.0.0.1:3338");
    assert_eq!(
        verified.operator.as_ref().unwrap().as_str(),
        "alice.example"
    );
    assert!(verified.offers(ServiceCode::EXIT) && !verified.offers(ServiceCode::MEMPOOL));
}

#[test]
fn one_changed_bit_anywhere_is_noticed() {
    let made = relay(1, |_| {});
    for index in 0..made.as_bytes().len() {
        let mut bytes = made.as_bytes().to_vec();
        bytes[index] ^= 1;
        let believed = read(&bytes).is_ok_and(|descriptor| descriptor.verify(NOW).is_ok());
        assert!(!believed, "byte {index}");
    }
}

#[test]
fn nobody_signs_for_another_relay() {
    let body = DescriptorBody::new(&identity(1), keys(), NOW);
    assert_eq!(body.sign(&identity(2)), Err(BuildError::WrongIdentity));
}

#[test]
fn a_descriptor_holds_from_its_publication_to_its_expiry() {
    let made = full();
    let at = |now| read(made.as_bytes()).unwrap().verify(now).map(|_| ());
    let early = NOW.saturating_sub(Descriptor::MAX_SKEW);
    let expires = made.expires;
    assert_eq!(at(early), Ok(()));
    let earlier = UnixTime::from_secs(early.secs() - 1);
    assert_eq!(
        at(earlier),
        Err(DescriptorError::FromTheFuture {
            published: NOW,
            now: earlier
        })
    );
    assert_eq!(at(UnixTime::from_secs(expires.secs() - 1)), Ok(()));
    assert_eq!(
        at(expires),
        Err(DescriptorError::Expired {
            expires,
            now: expires
        })
    );
}

#[test]
fn a_lifetime_is_bounded_and_not_negative() {
    let lasting = |expires| {
        let made = relay(1, |body| body.expires = expires);
        read(made.as_bytes()).unwrap().verify(NOW).map(|_| ())
    };
    let most = NOW.saturating_add(Descriptor::MAX_LIFETIME);
    assert_eq!(lasting(most), Ok(()));
    for expires in [
        most.saturating_add(Duration::from_secs(1)),
        NOW,
        UnixTime::from_secs(0),
    ] {
        assert_eq!(
            lasting(expires),
            Err(DescriptorError::Lifetime {
                published: NOW,
                expires
            })
        );
    }
}

#[test]
fn fields_out_of_bounds_are_refused_before_they_are_signed() {
    let refused = |change: &dyn Fn(&mut DescriptorBody)| {
        let mut body = DescriptorBody::new(&identity(1), keys(), NOW);
        change(&mut body);
        body.sign(&identity(1)).unwrap_err()
    };
    assert_eq!(
        refused(&|body| body.addresses = vec!["192.0.2.1:1".parse().unwrap(); 9]),
        BuildError::Field(DecodeError::TooLarge {
            what: "addresses",
            got: 9,
            max: 8
        })
    );
    for nowhere in ["192.0.2.1:0", "0.0.0.0:4433", "[ff02::1]:4433"] {
        assert_eq!(
            refused(&|body| body.addresses = vec![nowhere.parse().unwrap()]),
            BuildError::Field(DecodeError::Invalid { what: "address" })
        );
    }
    assert_eq!(
        refused(&|body| body.suites.clear()),
        BuildError::Field(DecodeError::Missing { what: "suites" })
    );
    assert_eq!(
        refused(&|body| body.mints = vec![mint("http://m", MintUnit::Sat, false); 2]),
        BuildError::Field(DecodeError::NotCanonical { what: "mints" })
    );
    let long = format!("http://{}", "m".repeat(190));
    let wordy = refused(&|body| {
        body.mints = (0..8)
            .map(|i| mint(&format!("{long}{i}"), MintUnit::Sat, false))
            .collect();
        let rules = "accept [2001:db8::1:2:3:4]:1000-2000\n".repeat(128);
        body.exit_policy = rules.parse().unwrap();
    });
    assert!(
        matches!(wordy, BuildError::TooLong { got } if got > 4096),
        "{wordy:?}"
    );
}

/// Nobody could pay such a relay, and it would be drawn as a guard all the same.
#[test]
fn keys_that_are_no_points_on_the_curve_are_refused() {
    // No square is x^3 + 7 for this x; the second is no compressed point; the third is no number of the
    // field.
    for bad in [[3; 33], [4; 33], [0xff; 33]] {
        let body = full().body().clone();
        let signed = |body: DescriptorBody| body.sign(&identity(1)).map(drop);
        let refused = |what| Err(BuildError::Field(DecodeError::Invalid { what }));
        let mut voucher = body.clone();
        voucher.keys.voucher = VoucherKey::new(bad);
        assert_eq!(signed(voucher), refused("VoucherKey"));
        let mut packets = body;
        packets.packets.as_mut().unwrap().key = PacketKey::new(bad);
        assert_eq!(signed(packets), refused("PacketKey"));
    }
    // And who signs it all the same is not read.
    let made = full();
    let mut bytes = made.as_bytes().to_vec();
    let at = bytes.windows(33).position(|key| key == [2; 33]).unwrap();
    bytes[at] = 4;
    let invalid = DecodeError::Invalid { what: "VoucherKey" };
    assert_eq!(read(&bytes).unwrap_err(), invalid);
}

#[test]
fn a_source_has_one_to_four_addresses() {
    let with = |count: usize| {
        let mut body = DescriptorBody::new(&identity(1), keys(), NOW);
        body.source = Some(SourceOffer {
            key: PeerKey::new([9; 32]),
            addresses: vec!["192.0.2.1:4434".parse().unwrap(); count],
        });
        body.sign(&identity(1)).map(|_| ())
    };
    let what = "addresses of a source";
    assert_eq!(with(0), Err(DecodeError::Missing { what }.into()));
    assert_eq!((with(1), with(4)), (Ok(()), Ok(())));
    let too_many = DecodeError::TooLarge {
        what,
        got: 5,
        max: 4,
    };
    assert_eq!(with(5), Err(too_many.into()));
}

#[test]
fn sets_are_bounded_in_order_and_absent_when_empty() {
    let ids = |count: u16| (0..count).map(|n| identity(n).relay_id()).collect();
    let too_large = |what, got, max| BuildError::Field(DecodeError::TooLarge { what, got, max });
    let signed = |change: &dyn Fn(&mut DescriptorBody)| {
        let mut body = DescriptorBody::new(&identity(1), keys(), NOW);
        change(&mut body);
        body.sign(&identity(1)).map(|_| ())
    };
    assert_eq!(signed(&|body| body.family = ids(16)), Ok(()));
    assert_eq!(
        signed(&|body| body.family = ids(17)),
        Err(too_large("family", 17, 16))
    );
    let blinded = |count| (0..count).map(|n| BlindedId::new([n; 32])).collect();
    assert_eq!(signed(&|body| body.blinded_ids = blinded(32)), Ok(()));
    assert_eq!(
        signed(&|body| body.blinded_ids = blinded(33)),
        Err(too_large("blinded ids", 33, 32))
    );

    let made = relay(1, |_| {});
    let with = |value: &[u8]| {
        let len = value.len() as u8;
        read(&with_fields(&made, |bytes| {
            bytes.extend_from_slice(&[&[35, len], value].concat())
        }))
    };
    let [low, high] = [[1; 32], [2; 32]];
    assert_eq!(
        with(&[low, high].concat())
            .unwrap()
            .verify(NOW)
            .unwrap()
            .family
            .len(),
        2
    );
    for wrong in [&[][..], &[high, low].concat(), &[low, low].concat()] {
        assert_eq!(
            with(wrong),
            Err(DecodeError::NotCanonical { what: "family" })
        );
    }
}

#[test]
fn a_family_is_what_both_sides_admit() {
    let names = |number, family: &[u16]| {
        relay(number, |body| {
            body.family = family.iter().map(|n| identity(*n).relay_id()).collect();
        })
    };
    let (one, two, stranger) = (names(1, &[2, 3]), names(2, &[1]), names(3, &[]));
    assert!(one.is_family_of(&two) && two.is_family_of(&one));
    assert!(!one.is_family_of(&stranger) && !stranger.is_family_of(&one));
}

#[test]
fn work_is_worth_nothing_where_none_was_done() {
    let worked = relay(1, |body| body.work = Some(WorkNonce::new(9)));
    let bits = work_bits(&identity(1).relay_id(), WorkNonce::new(9));
    assert_eq!(worked.work_bits(), bits);
    assert_eq!(relay(1, |_| {}).work_bits(), 0);
}

/// A descriptor of relay 1 with the fields of `made`, as `change` leaves them.
fn with_fields(made: &Descriptor, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let signed = made.as_bytes().len() - 64;
    let mut bytes = made.as_bytes()[..signed].to_vec();
    change(&mut bytes);
    let signature = identity(1).sign("coinfuse relay descriptor v1", &bytes);
    bytes.extend_from_slice(&signature);
    bytes
}

fn with_extra_field(made: &Descriptor, kind: u8) -> Vec<u8> {
    with_fields(made, |bytes| {
        bytes.extend_from_slice(&[kind, 3, b'n', b'e', b'w'])
    })
}

#[test]
fn services_come_in_order_and_once() {
    let made = relay(1, |body| {
        body.services.insert(ServiceCode::EXIT);
    });
    let field = [16, 4, 0, 1, 0, 4];
    let at = made
        .as_bytes()
        .windows(6)
        .position(|window| window == field)
        .unwrap();
    let with = |first: u8, second: u8| {
        read(&with_fields(&made, |bytes| {
            bytes[at + 3] = first;
            bytes[at + 5] = second;
        }))
    };
    assert!(with(1, 3).is_ok());
    for (first, second) in [(4, 1), (4, 4)] {
        assert_eq!(
            with(first, second),
            Err(DecodeError::NotCanonical { what: "services" })
        );
    }
}

#[test]
fn an_unknown_odd_field_survives_and_an_unknown_even_one_is_refused() {
    let made = full();
    let newer = with_extra_field(&made, 101);
    let verified = read(&newer).unwrap().verify(NOW).unwrap();
    assert_eq!(verified.body(), made.body());
    assert_eq!(verified.as_bytes(), newer);
    let line = verified
        .to_string()
        .parse::<UnverifiedDescriptor>()
        .unwrap();
    assert_eq!(line.as_bytes(), newer);
    assert_eq!(
        read(&with_extra_field(&made, 100)),
        Err(DecodeError::Unknown {
            what: "descriptor field",
            got: 100
        })
    );
}

#[test]
fn other_versions_and_other_lengths_are_refused() {
    let made = full();
    let mut bytes = made.as_bytes().to_vec();
    bytes[0] = 2;
    assert_eq!(
        read(&bytes),
        Err(DecodeError::Unknown {
            what: "descriptor version",
            got: 2
        })
    );
    for len in 0..made.as_bytes().len() {
        // A cut that takes an optional field away may still read; it does not verify.
        let cut = read(&made.as_bytes()[..len]);
        assert!(!cut.is_ok_and(|cut| cut.verify(NOW).is_ok()), "{len} bytes");
    }
    assert_eq!(
        read(&[1; 4097]),
        Err(DecodeError::TooLarge {
            what: "descriptor",
            got: 4097,
            max: 4096
        })
    );
}

proptest! {
    #[test]
    fn reading_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&bytes);
    }

    #[test]
    fn reading_a_damaged_descriptor_is_total_and_never_believed(
        index: prop::sample::Index, value: u8,
    ) {
        let made = full();
        let mut bytes = made.as_bytes().to_vec();
        let at = index.index(bytes.len());
        let changed = bytes[at] != value;
        bytes[at] = value;
        if let Ok(descriptor) = read(&bytes) {
            prop_assert_eq!(descriptor.as_bytes(), bytes);
            prop_assert_eq!(descriptor.verify(NOW).is_ok(), !changed);
        }
    }

    #[test]
    fn descriptors_round_trip(
        sequence: u64, up: u32, down: u32, capacity: Option<u64>,
        ports in proptest::collection::vec(1u16.., 0..8),
        codes in proptest::collection::btree_set(any::<u16>(), 0..32),
    ) {
        let made = relay(1, |body| {
            body.sequence = sequence;
            body.price.up = Rate::from_msat_per_mib(up);
            body.price.down = Rate::from_msat_per_mib(down);
            body.capacity = capacity.map(ByteCount::new);
            body.addresses = ports.iter().map(|port| ([192, 0, 2, 1], *port).into()).collect();
            body.services = codes.into_iter().map(ServiceCode::new).collect();
        });
        let read = read(made.as_bytes()).unwrap().verify(NOW).unwrap();
        prop_assert_eq!(&read, &made);
        prop_assert_eq!((read.sequence, read.addresses.len()), (sequence, ports.len()));
    }
}
