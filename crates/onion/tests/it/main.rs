//! What packets are, seen from outside.

mod a_bit_flipped_anywhere_is_refused;
mod a_classifier_learns_nothing;
mod delivery;
mod key_epochs;
mod net;
mod records;
mod refusals;
mod replay;
mod reply_paths;
mod vectors;
