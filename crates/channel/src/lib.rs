//! Cashu Spilman payment channels, without I/O.
//!
//! Messages have a binary form ([`Open`], [`Update`]) and the JSON of the public draft ([`json`]).

mod channel;
mod coin;
mod commitment;
mod derive;
mod funding;
mod hash;
pub mod json;
mod keyset;
mod message;
mod params;
mod receiver;
mod reclaim;
mod refusal;
mod rows;
mod sender;
mod settle;
mod step;
#[cfg(test)]
mod vectors;

pub use channel::{MAX_MINT_LEN, ParamsError};
pub use coin::Coin;
pub use commitment::BalanceError;
pub use derive::ChannelSecret;
pub use funding::MintFault;
pub use keyset::{AmountError, Keyset, KeysetError, Ladder, MAX_OUTPUTS};
pub use message::{Claim, FundingProof, Open, Update};
pub use params::{ChannelId, Params};
pub use receiver::{Closed, Receiver, ReceiverState, Terms};
pub use reclaim::{Closing, Refund, RefundError, Search};
pub use refusal::{Refusal, RefusalCode, Remedy};
pub use rows::LoadError;
pub use sender::{Done, PayError, Planned, Sender, SenderState, Unmoved};
pub use settle::{Settled, Settling};
pub use step::{NotSaved, Row, Unsaved};
