//! Mints, as descriptors name them and as a purse does.

use coinfuse_directory::{MintOffer, MintUnit, MintUrl};
use coinfuse_voucher::{MintId, Unit};

/// The mint of an offer; none if its address names no mint.
pub(crate) fn mint_id(offer: &MintOffer) -> Option<MintId> {
    let unit = match offer.unit {
        MintUnit::Msat => Unit::Msat,
        MintUnit::Sat => Unit::Sat,
    };
    MintId::new(offer.url.as_str(), unit).ok()
}

/// A mint as descriptors name it; none if they cannot.
pub(crate) fn published(mint: &MintId) -> Option<(MintUrl, MintUnit)> {
    let unit = match mint.unit() {
        Unit::Msat => MintUnit::Msat,
        Unit::Sat => MintUnit::Sat,
    };
    Some((mint.url().to_string().parse().ok()?, unit))
}
