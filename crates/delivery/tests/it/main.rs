//! What the crate promises, from outside. Listeners are real, on loopback; time is paused, so that
//! waiting takes none.

mod failure;
mod fakes;
mod limits;
mod mempool;
mod policy;
mod racing;
mod target;
