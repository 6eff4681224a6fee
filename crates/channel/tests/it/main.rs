//! The machines of both sides, driven as a host would.

mod bank;
mod json_of_the_public_draft;
mod life;
