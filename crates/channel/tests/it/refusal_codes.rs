//! Codes never change their meaning.

use coinfuse_channel::{ParamsError, Refusal, RefusalCode, Remedy};
use coinfuse_wire::UnixTime;

/// In the order of their codes, from 1.
fn all() -> [Refusal; 29] {
    let (got, least, most) = (1, 2, 3);
    let expiry = UnixTime::from_secs(0);
    let (balance, paid, capacity) = (1, 2, 3);
    [
        Refusal::Malformed,
        Refusal::UnknownMint,
        Refusal::UnknownKeyset,
        Refusal::Terms(ParamsError::NoCapacity),
        Refusal::OtherReceiver,
        Refusal::CapacityTooSmall { got, least },
        Refusal::CapacityTooLarge { got, most },
        Refusal::TooManyProofs { got, most },
        Refusal::ExpiryTooSoon { expiry },
        Refusal::ExpiryTooFar { expiry },
        Refusal::KeysetExpiring,
        Refusal::WrongId,
        Refusal::ProofCount { got: 1, want: 2 },
        Refusal::ProofAmount(0),
        Refusal::ProofSecret(0),
        Refusal::ProofKeyset(0),
        Refusal::ProofBlinding(0),
        Refusal::Dleq(0),
        Refusal::Signature,
        Refusal::OverCapacity { balance, capacity },
        Refusal::LowerBalance { balance, paid },
        Refusal::Replay,
        Refusal::Expired,
        Refusal::Closed,
        Refusal::UnknownChannel,
        Refusal::OtherChannel,
        Refusal::OtherAccount,
        Refusal::TooManyChannels,
        Refusal::Unavailable,
    ]
}

#[test]
fn are_those_of_the_specification() {
    let codes = all().map(|refusal| refusal.code());
    assert!(codes.iter().copied().eq(1..=29), "{codes:?}");
}

#[test]
fn say_what_to_do() {
    for refusal in all() {
        let remedy = match refusal {
            Refusal::Replay => Remedy::Nothing,
            Refusal::UnknownChannel => Remedy::Open,
            Refusal::TooManyChannels | Refusal::Unavailable => Remedy::Retry,
            _ => Remedy::Replace,
        };
        assert_eq!(RefusalCode(refusal.code()).remedy(), remedy, "{refusal}");
    }
    // Codes of later versions too.
    assert_eq!(RefusalCode(200).remedy(), Remedy::Replace);
}
