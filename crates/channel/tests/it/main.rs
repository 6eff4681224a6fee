//! The machines of both sides, driven as a host would.

mod bank;
mod life;
