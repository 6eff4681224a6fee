//! `coinfuse-channel` in both roles, hosted as plainly as can be: the machines say what to do.

mod mint;
mod receiver;
mod sender;
mod store;

pub(crate) use receiver::OurReceiver;
pub(crate) use sender::OurSender;
