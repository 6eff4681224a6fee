//! The relay and the client as processes of their own, over loopback, with a real mint, real curl
//! and real ssh.

mod bad_starts;
mod books;
mod browsing;
mod channels;
mod crash;
mod empty_wallet;
mod own_coins;
mod process;
mod ssh;
mod town;
mod two_mints;
mod withdraw;
