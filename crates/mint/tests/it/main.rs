//! A mint as wallets see it.

mod shutdown_cuts_connections;
mod support;

mod money_is_conserved;
mod network_across_processes;
mod own_coins_are_checked_in_process;
