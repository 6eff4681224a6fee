//! The `[paths]` section of the client's file.

use super::values::{relays, texts, within};
use crate::client;
use coinfuse_directory::{Country, Price};
use coinfuse_wire::{Rate, RelayId};
use serde::{Deserialize, Serialize};

/// Which relays are used, besides what they cost each and what they offer.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientPathsConfig {
    /// Relays that are never used, by their ids. Default none.
    #[serde(deserialize_with = "relays", serialize_with = "texts::serialize")]
    pub exclude_relays: Vec<RelayId>,
    /// No relay is used that says that it is in one of these countries. Default none.
    #[serde(with = "texts")]
    pub exclude_countries: Vec<Country>,
    /// msat per MiB that all relays of a circuit together may ask for upstream. Default 0: no limit
    /// but that for each relay.
    #[serde(deserialize_with = "within::<0, 4_294_967_295, _, _>")]
    pub max_total_price_up: u32,
    /// msat per MiB that all relays of a circuit together may ask for downstream. Default 0: no limit
    /// but that for each relay.
    #[serde(deserialize_with = "within::<0, 4_294_967_295, _, _>")]
    pub max_total_price_down: u32,
}

impl ClientPathsConfig {
    /// The most that all relays of a circuit together may ask for, if that is limited.
    pub fn max_total_price(&self) -> Option<Price> {
        let limit = |msat| match msat {
            0 => Rate::from_msat_per_mib(u32::MAX),
            msat => Rate::from_msat_per_mib(msat),
        };
        let (up, down) = (self.max_total_price_up, self.max_total_price_down);
        let price = Price {
            up: limit(up),
            down: limit(down),
        };
        (up > 0 || down > 0).then_some(price)
    }

    /// Puts these settings into a client's.
    pub fn apply(&self, settings: &mut client::ClientConfig) {
        settings.max_total_price = self.max_total_price();
        settings.excluded_relays = self.exclude_relays.iter().copied().collect();
        settings.excluded_countries = self.exclude_countries.iter().copied().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_in_one_direction_limits_no_other() {
        let mut paths = ClientPathsConfig::default();
        assert_eq!(paths.max_total_price(), None);
        paths.max_total_price_down = 300;
        let price = paths.max_total_price().unwrap();
        assert_eq!(price.down, Rate::from_msat_per_mib(300));
        assert_eq!(price.up, Rate::from_msat_per_mib(u32::MAX));
    }
}
