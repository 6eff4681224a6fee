//! Real money at a real mint: bought, presented, redeemed, refunded; and nothing is lost when the
//! power goes.

mod chest;
mod crash;
mod foreign;
mod foreign_crash;
mod foreign_walk;
mod given;
mod token;
mod token_crash;
mod town;
mod trade;
