//! The binary form of a policy, as descriptors carry it.
//!
//! A varint count, then the rules. A rule is a head byte, the network if it names one (prefix
//! length, then as many bytes as the prefix touches), and its ports.
//!
//! | bits of the head | meaning |
//! |---|---|
//! | 7 | 1 accept, 0 reject |
//! | 6-5 | zero |
//! | 4-3 | ports: 0 all, 1 one `u16`, 2 two `u16` (first, last) |
//! | 2-0 | addresses: 0 `*`, 1 `*4`, 2 `*6`, 3 `private`, 4 IPv4 network, 5 IPv6 network |

use super::{Action, AddressPattern, ExitPolicy, PortRange, Rule};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::net::{Ipv4Addr, Ipv6Addr};

const ACCEPT: u8 = 0x80;
const UNUSED: u8 = 0x60;
const PORTS_SHIFT: u8 = 3;

impl Encode for ExitPolicy {
    fn encode(&self, out: &mut Writer) {
        out.varint(self.rules.len() as u64);
        self.rules.iter().for_each(|rule| rule.encode(out));
    }
}

impl Decode for ExitPolicy {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.bounded(Self::MAX_RULES, "exit policy rules")?;
        let rules = (0..count)
            .map(|_| Rule::decode(reader))
            .collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }
}

impl Encode for Rule {
    fn encode(&self, out: &mut Writer) {
        let accept = if self.action == Action::Accept {
            ACCEPT
        } else {
            0
        };
        let ports = ports_code(self.ports);
        out.u8(accept | ports << PORTS_SHIFT | addresses_code(&self.addresses));
        match self.addresses {
            AddressPattern::V4(net) => put_network(out, net.prefix(), &net.base().octets()),
            AddressPattern::V6(net) => put_network(out, net.prefix(), &net.base().octets()),
            _ => {}
        }
        if ports > 0 {
            out.u16(self.ports.first());
        }
        if ports > 1 {
            out.u16(self.ports.last());
        }
    }
}

fn ports_code(ports: PortRange) -> u8 {
    match ports {
        PortRange::ALL => 0,
        one if one.first() == one.last() => 1,
        _ => 2,
    }
}

fn addresses_code(addresses: &AddressPattern) -> u8 {
    match addresses {
        AddressPattern::Any => 0,
        AddressPattern::AnyV4 => 1,
        AddressPattern::AnyV6 => 2,
        AddressPattern::Private => 3,
        AddressPattern::V4(_) => 4,
        AddressPattern::V6(_) => 5,
    }
}

fn put_network(out: &mut Writer, prefix: u8, octets: &[u8]) {
    out.u8(prefix);
    out.put(&octets[..usize::from(prefix.div_ceil(8))]);
}

impl Decode for Rule {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let head = reader.u8("exit policy rule")?;
        if head & UNUSED != 0 {
            return Err(DecodeError::Invalid {
                what: "exit policy rule",
            });
        }
        let action = if head & ACCEPT == 0 {
            Action::Reject
        } else {
            Action::Accept
        };
        let addresses = read_addresses(head & 0x07, reader)?;
        let ports = read_ports(head >> PORTS_SHIFT & 0x03, reader)?;
        Ok(Self {
            action,
            addresses,
            ports,
        })
    }
}

fn read_addresses(code: u8, reader: &mut Reader<'_>) -> Result<AddressPattern, DecodeError> {
    const WHAT: &str = "exit policy network";
    let pattern = match code {
        0 => AddressPattern::Any,
        1 => AddressPattern::AnyV4,
        2 => AddressPattern::AnyV6,
        3 => AddressPattern::Private,
        4 => {
            let (base, prefix) = read_network::<4>(reader)?;
            let base = Ipv4Addr::from(base);
            match AddressPattern::v4(base, prefix) {
                Some(AddressPattern::V4(net)) if net.base() == base => AddressPattern::V4(net),
                _ => return Err(DecodeError::NotCanonical { what: WHAT }),
            }
        }
        5 => {
            let (base, prefix) = read_network::<16>(reader)?;
            let base = Ipv6Addr::from(base);
            match AddressPattern::v6(base, prefix) {
                Some(AddressPattern::V6(net)) if net.base() == base => AddressPattern::V6(net),
                _ => return Err(DecodeError::NotCanonical { what: WHAT }),
            }
        }
        got => {
            return Err(DecodeError::Unknown {
                what: WHAT,
                got: got.into(),
            });
        }
    };
    Ok(pattern)
}

fn read_network<const N: usize>(reader: &mut Reader<'_>) -> Result<([u8; N], u8), DecodeError> {
    const WHAT: &str = "exit policy prefix";
    let prefix = reader.u8(WHAT)?;
    let touched = usize::from(prefix.div_ceil(8));
    let mut octets = [0; N];
    let Some(front) = octets.get_mut(..touched) else {
        let max = N as u64 * 8;
        return Err(DecodeError::TooLarge {
            what: WHAT,
            got: prefix.into(),
            max,
        });
    };
    front.copy_from_slice(reader.take(touched, WHAT)?);
    Ok((octets, prefix))
}

fn read_ports(code: u8, reader: &mut Reader<'_>) -> Result<PortRange, DecodeError> {
    const WHAT: &str = "exit policy ports";
    let ports = match code {
        0 => return Ok(PortRange::ALL),
        1 => {
            let port = reader.u16(WHAT)?;
            PortRange::new(port, port)
        }
        2 => PortRange::new(reader.u16(WHAT)?, reader.u16(WHAT)?),
        got => {
            return Err(DecodeError::Unknown {
                what: WHAT,
                got: got.into(),
            });
        }
    };
    let ports = ports.ok_or(DecodeError::Invalid { what: WHAT })?;
    if ports_code(ports) != code {
        return Err(DecodeError::NotCanonical { what: WHAT });
    }
    Ok(ports)
}
