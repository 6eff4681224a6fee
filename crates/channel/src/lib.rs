//! Cashu Spilman payment channels, without I/O.

mod channel;
mod commitment;
mod derive;
mod hash;
mod keyset;
mod params;
#[cfg(test)]
mod vectors;

pub use channel::{MAX_MINT_LEN, ParamsError};
pub use commitment::BalanceError;
pub use derive::ChannelSecret;
pub use keyset::{AmountError, Keyset, KeysetError, Ladder, MAX_OUTPUTS};
pub use params::{ChannelId, Params};
