//! Whole networks: a mint, relays and clients, with real payments on real sockets.

mod a_long_path;
mod channels_that_pay;
mod circuits_that_outlive_their_callers;
mod clients_that_remember;
mod credit_that_runs_out;
mod credit_that_survives;
mod exits_that_say_no;
mod first_relays_that_lie;
mod hand;
mod isolation_that_holds;
mod limits_that_hold;
mod logs_that_leak;
mod meters_that_agree;
mod mute;
mod packets_beside_circuits;
mod questions;
mod questions_that_are_answered;
mod questions_that_are_not;
mod questions_that_leak;
mod relays_in_the_way;
mod stalls_that_stay_alone;
mod station;
mod town;
mod traffic;
mod vouchers_bought_ahead;
mod vouchers_that_are_refused;

pub(crate) use station::unix;
pub(crate) use traffic::{soon, until};
