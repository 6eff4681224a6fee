//! `cdk-spilman` in both roles.

mod host;
mod mint;
mod receiver;
mod sender;

pub(crate) use receiver::TheirReceiver;
pub(crate) use sender::TheirSender;

/// The sender's secret key. Its public key has an odd y, the receiver's an even one: what is done
/// about that is easily got wrong.
pub(crate) const SENDER_KEY: &str =
    "0101010101010101010101010101010101010101010101010101010101010101";
/// The receiver's secret key.
pub(crate) const RECEIVER_KEY: &str =
    "0202020202020202020202020202020202020202020202020202020202020202";
