//! The tools are worth what they say they do.

mod a_lost_answer_loses_no_money;
mod a_mint_in_a_test;
mod demo_servers;
mod narrow_path;
mod support;
