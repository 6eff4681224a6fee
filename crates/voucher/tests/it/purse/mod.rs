//! Real money at a real mint: bought, presented, redeemed, refunded; and nothing is lost when the
//! power goes.

mod crash;
mod town;
mod trade;
