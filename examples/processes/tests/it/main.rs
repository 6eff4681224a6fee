//! The relay, the client and `broadcast` as processes of their own, over loopback, with a real mint,
//! real curl and real ssh.

mod bad_starts;
mod books;
mod broadcasting;
mod browsing;
mod channels;
mod crash;
mod discovery;
mod empty_wallet;
mod own_coins;
mod packets;
mod process;
mod ssh;
mod town;
mod two_mints;
mod withdraw;
