//! The fields of a descriptor: a TLV stream, of which a reader must know the even types.
//!
//! | type | field | value |
//! |---|---|---|
//! | 0 | relay | 32 bytes |
//! | 2 | sequence | `u64` |
//! | 4 | published | `u64`, seconds |
//! | 6 | expires | `u64`, seconds |
//! | 8 | link key | 32 bytes |
//! | 10 | onion key | 32 bytes |
//! | 12 | voucher key | 33 bytes |
//! | 14 | addresses | each a byte 4 or 6, the IP, a `u16` port |
//! | 16 | services | each a `u16`, increasing |
//! | 18 | price | varint up, varint down, in msat per MiB |
//! | 20 | mints | each a byte (1 msat, 2 sat, + 0x80 issuer), varint length, URL |
//! | 22 | exit policy | see `policy/codec.rs` |
//! | 24 | suites | each a byte |
//! | 27 | operator | text; absent when not told |
//! | 29 | capacity | varint bytes per second; absent when not told |
//! | 31 | packets | see [`PacketOffer`](super::PacketOffer); absent when none are taken |
//! | 33 | load | a byte, 0 to 3; absent when not told |
//! | 35 | family | each 32 bytes, increasing; absent when empty |
//! | 37 | country | two letters; absent when not told |
//! | 39 | blinded ids | each 32 bytes, increasing; absent when empty |
//! | 41 | work | `u64`; absent when none was done |
//! | 43 | source | see [`SourceOffer`](super::SourceOffer); absent when not told |
//!
//! Types below 26 are always there. Integers are big-endian.

use super::body::{DescriptorBody, OperatorTag, Suite};
use super::keys::RelayKeys;
use super::mint::MintOffer;
use crate::ExitPolicy;
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, TlvField, TlvStream, TlvWriter, Writer};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::collections::BTreeSet;

pub(super) fn encode(body: &DescriptorBody) -> Vec<u8> {
    let mut out = TlvWriter::new();
    out.value(0, &body.relay)
        .field(2, &body.sequence.to_be_bytes())
        .value(4, &body.published)
        .value(6, &body.expires)
        .value(8, &body.keys.link)
        .value(10, &body.keys.onion)
        .value(12, &body.keys.voucher)
        .field(14, &encode_addresses(&body.addresses))
        .field(16, &concat(&body.services))
        .value(18, &body.price)
        .field(20, &concat(&body.mints))
        .value(22, &body.exit_policy)
        .field(24, &encode_suites(&body.suites));
    if let Some(operator) = &body.operator {
        out.field(27, operator.as_str().as_bytes());
    }
    if let Some(capacity) = &body.capacity {
        out.value(29, capacity);
    }
    if let Some(packets) = &body.packets {
        out.value(31, packets);
    }
    encode_claims(body, &mut out);
    out.into_bytes()
}

/// What ranks a relay, rather than saying how to use it.
fn encode_claims(body: &DescriptorBody, out: &mut TlvWriter) {
    if let Some(load) = &body.load {
        out.value(33, load);
    }
    if !body.family.is_empty() {
        out.field(35, &concat(&body.family));
    }
    if let Some(country) = &body.country {
        out.value(37, country);
    }
    if !body.blinded_ids.is_empty() {
        out.field(39, &concat(&body.blinded_ids));
    }
    if let Some(work) = &body.work {
        out.value(41, work);
    }
    if let Some(source) = &body.source {
        out.value(43, source);
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<DescriptorBody, DecodeError> {
    let mut fields = Fields {
        stream: TlvStream::new(Reader::new(bytes)),
        ahead: None,
    };
    let body = DescriptorBody {
        relay: fields.value(0, "relay")?,
        sequence: decode_sequence(fields.need(2, "sequence")?.value)?,
        published: fields.value(4, "published")?,
        expires: fields.value(6, "expires")?,
        keys: RelayKeys {
            link: fields.value(8, "link key")?,
            onion: fields.value(10, "onion key")?,
            voucher: fields.value(12, "voucher key")?,
        },
        addresses: decode_addresses(fields.need(14, "addresses")?.value)?,
        services: decode_set(
            fields.need(16, "services")?.value,
            DescriptorBody::MAX_SERVICES,
            "services",
        )?,
        price: fields.value(18, "price")?,
        mints: decode_mints(fields.need(20, "mints")?.value)?,
        exit_policy: fields.value::<ExitPolicy>(22, "exit policy")?,
        suites: decode_suites(fields.need(24, "suites")?.value)?,
        operator: fields
            .may(27)?
            .map(|field| decode_operator(field.value))
            .transpose()?,
        capacity: fields.may(29)?.map(|field| field.parse()).transpose()?,
        packets: fields.may(31)?.map(|field| field.parse()).transpose()?,
        load: fields.may(33)?.map(|field| field.parse()).transpose()?,
        family: fields.set(35, DescriptorBody::MAX_FAMILY, "family")?,
        country: fields.may(37)?.map(|field| field.parse()).transpose()?,
        blinded_ids: fields.set(39, DescriptorBody::MAX_BLINDED_IDS, "blinded ids")?,
        work: fields.may(41)?.map(|field| field.parse()).transpose()?,
        source: fields.may(43)?.map(|field| field.parse()).transpose()?,
    };
    fields.finish()?;
    Ok(body)
}

/// Reads a stream against the table above: known types in order, unknown ones passed over between
/// them if they are odd.
struct Fields<'a> {
    stream: TlvStream<'a>,
    /// A field that was read while looking for an earlier type.
    ahead: Option<TlvField<'a>>,
}

impl<'a> Fields<'a> {
    /// The field of type `kind`, if it is there.
    fn may(&mut self, kind: u64) -> Result<Option<TlvField<'a>>, DecodeError> {
        loop {
            let next = match self.ahead.take() {
                Some(field) => Some(field),
                None => self.stream.next_field()?,
            };
            match next {
                None => return Ok(None),
                Some(field) if field.kind == kind => return Ok(Some(field)),
                Some(field) if field.kind > kind => {
                    self.ahead = Some(field);
                    return Ok(None);
                }
                Some(field) => field.unknown(WHAT)?,
            }
        }
    }

    fn need(&mut self, kind: u64, what: &'static str) -> Result<TlvField<'a>, DecodeError> {
        self.may(kind)?.ok_or(DecodeError::Missing { what })
    }

    fn value<T: Decode>(&mut self, kind: u64, what: &'static str) -> Result<T, DecodeError> {
        self.need(kind, what)?.parse()
    }

    /// A set that is left out when it is empty.
    fn set<T: Decode + Ord>(
        &mut self,
        kind: u64,
        max: usize,
        what: &'static str,
    ) -> Result<BTreeSet<T>, DecodeError> {
        match self.may(kind)? {
            None => Ok(BTreeSet::new()),
            Some(TlvField { value: [], .. }) => Err(DecodeError::NotCanonical { what }),
            Some(field) => decode_set(field.value, max, what),
        }
    }

    /// Passes over what is left, if all of it is odd; as the largest type is, which nobody has.
    fn finish(mut self) -> Result<(), DecodeError> {
        self.may(u64::MAX).map(|_| ())
    }
}

const WHAT: &str = "descriptor field";

fn concat<'a, T: Encode + 'a>(items: impl IntoIterator<Item = &'a T>) -> Vec<u8> {
    let mut out = Writer::new();
    items.into_iter().for_each(|item| out.value(item));
    out.into_bytes()
}

/// Reads items until the value is used up, at most `max` of them.
pub(super) fn list<T>(
    value: &[u8],
    max: usize,
    what: &'static str,
    mut item: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut reader = Reader::new(value);
    let mut items = Vec::new();
    while !reader.is_empty() {
        if items.len() == max {
            return Err(DecodeError::TooLarge {
                what,
                got: max as u64 + 1,
                max: max as u64,
            });
        }
        items.push(item(&mut reader)?);
    }
    Ok(items)
}

fn decode_sequence(value: &[u8]) -> Result<u64, DecodeError> {
    let mut reader = Reader::new(value);
    let sequence = reader.u64("sequence")?;
    reader.finish()?;
    Ok(sequence)
}

fn encode_addresses(addresses: &[SocketAddr]) -> Vec<u8> {
    let mut out = Writer::new();
    addresses
        .iter()
        .for_each(|address| encode_address(address, &mut out));
    out.into_bytes()
}

pub(super) fn encode_address(address: &SocketAddr, out: &mut Writer) {
    match address.ip() {
        IpAddr::V4(ip) => {
            out.u8(4);
            out.put(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.u8(6);
            out.put(&ip.octets());
        }
    }
    out.u16(address.port());
}

fn decode_addresses(value: &[u8]) -> Result<Vec<SocketAddr>, DecodeError> {
    list(
        value,
        DescriptorBody::MAX_ADDRESSES,
        "addresses",
        decode_address,
    )
}

pub(super) fn decode_address(reader: &mut Reader<'_>) -> Result<SocketAddr, DecodeError> {
    const WHAT: &str = "address";
    let ip: IpAddr = match reader.u8(WHAT)? {
        4 => Ipv4Addr::from(reader.array::<4>(WHAT)?).into(),
        6 => Ipv6Addr::from(reader.array::<16>(WHAT)?).into(),
        got => {
            return Err(DecodeError::Unknown {
                what: WHAT,
                got: got.into(),
            });
        }
    };
    let port = reader.u16(WHAT)?;
    // Nothing can be reached there.
    if port == 0 || ip.is_unspecified() || ip.is_multicast() {
        return Err(DecodeError::Invalid { what: WHAT });
    }
    Ok(SocketAddr::new(ip, port))
}

/// Items in increasing order, which is their one encoding.
fn decode_set<T: Decode + Ord>(
    value: &[u8],
    max: usize,
    what: &'static str,
) -> Result<BTreeSet<T>, DecodeError> {
    let items = list(value, max, what, T::decode)?;
    if !items.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::NotCanonical { what });
    }
    Ok(items.into_iter().collect())
}

fn decode_mints(value: &[u8]) -> Result<Vec<MintOffer>, DecodeError> {
    let mints = list(value, DescriptorBody::MAX_MINTS, "mints", MintOffer::decode)?;
    no_repeats(&mints, "mints")?;
    Ok(mints)
}

fn encode_suites(suites: &[Suite]) -> Vec<u8> {
    suites.iter().map(|suite| suite.get()).collect()
}

fn decode_suites(value: &[u8]) -> Result<Vec<Suite>, DecodeError> {
    let one = |reader: &mut Reader<'_>| reader.u8("suite").map(Suite::new);
    let suites = list(value, DescriptorBody::MAX_SUITES, "suites", one)?;
    no_repeats(&suites, "suites")?;
    if suites.is_empty() {
        return Err(DecodeError::Missing { what: "suites" });
    }
    Ok(suites)
}

fn decode_operator(value: &[u8]) -> Result<OperatorTag, DecodeError> {
    let invalid = DecodeError::Invalid { what: "operator" };
    core::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(invalid)
}

fn no_repeats<T: Ord>(items: &[T], what: &'static str) -> Result<(), DecodeError> {
    let distinct: BTreeSet<&T> = items.iter().collect();
    if distinct.len() != items.len() {
        return Err(DecodeError::NotCanonical { what });
    }
    Ok(())
}
