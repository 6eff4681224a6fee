//! The machines of both sides, driven as a host would.

mod a_mint_that_lies;
mod alice;
mod an_opening_that_lies;
mod an_update_that_lies;
mod bank;
mod bob;
mod json_of_the_public_draft;
mod life;
mod nothing_is_lost;
mod numbers_that_exhaust;
mod operations;
mod random_operations;
mod refusal_codes;
mod world;
