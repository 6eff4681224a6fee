//! The tools are worth what they say they do.
#![allow(clippy::disallowed_methods, reason = "delays are measured")]

mod a_lost_answer_loses_no_money;
mod a_mint_in_a_test;
mod coins_are_not_logged;
mod demo_servers;
mod narrow_path;
mod support;
