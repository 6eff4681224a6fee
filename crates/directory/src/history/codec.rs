//! A history on disk: version 1, the relays in the order of their names, the guards in theirs.

use super::History;
use super::guards::Guard;
use super::record::Record;
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, RelayId, UnixTime, Writer};
use std::collections::BTreeSet;

const VERSION: u8 = 1;

impl Encode for History {
    fn encode(&self, out: &mut Writer) {
        out.u8(VERSION);
        out.varint(self.relays.len() as u64);
        for (relay, record) in &self.relays {
            out.value(relay);
            out.value(record);
        }
        out.varint(self.guards.len() as u64);
        self.guards.iter().for_each(|guard| out.value(guard));
    }
}

impl Decode for History {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "history";
        match reader.u8(WHAT)? {
            VERSION => {}
            got => {
                return Err(DecodeError::Unknown {
                    what: "history version",
                    got: got.into(),
                });
            }
        }
        let count = reader.bounded(Self::MAX_RELAYS, WHAT)?;
        let one = |_| Ok((RelayId::decode(reader)?, Record::decode(reader)?));
        let relays = (0..count).map(one).collect::<Result<Vec<_>, _>>()?;
        if !relays.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(DecodeError::NotCanonical { what: WHAT });
        }
        let count = reader.bounded(Self::MAX_GUARDS, WHAT)?;
        let guards = (0..count).map(|_| Guard::decode(reader));
        let guards = guards.collect::<Result<Vec<_>, _>>()?;
        let distinct: BTreeSet<_> = guards.iter().map(|guard| guard.relay).collect();
        if distinct.len() != guards.len() {
            return Err(DecodeError::NotCanonical { what: "guards" });
        }
        Ok(Self {
            relays: relays.into_iter().collect(),
            guards,
        })
    }
}

impl Encode for Record {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.touched);
        out.u32(self.successes);
        out.u32(self.failures);
        out.u8(self.streak);
        out.value(&self.failed_at);
        out.u64(self.speed);
        out.value(&self.measured_at);
    }
}

impl Decode for Record {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "record of a relay";
        Ok(Self {
            touched: UnixTime::decode(reader)?,
            successes: reader.u32(WHAT)?,
            failures: reader.u32(WHAT)?,
            streak: reader.u8(WHAT)?,
            failed_at: UnixTime::decode(reader)?,
            speed: reader.u64(WHAT)?,
            measured_at: UnixTime::decode(reader)?,
        })
    }
}

impl Encode for Guard {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.relay);
        out.value(&self.since);
        out.value(&self.until);
        // Nothing was missing in 1970.
        out.value(&self.missing.unwrap_or_default());
    }
}

impl Decode for Guard {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            relay: RelayId::decode(reader)?,
            since: UnixTime::decode(reader)?,
            until: UnixTime::decode(reader)?,
            missing: Some(UnixTime::decode(reader)?).filter(|since| since.secs() > 0),
        })
    }
}
