//! A module is named after the bug that it would report.

mod net;
mod raw;
mod relay;

mod a_change_of_key_breaks_the_stream;
mod a_circuit_takes_more_than_one_round_trip_per_hop;
mod a_damaged_record_is_opened;
mod a_message_does_not_survive_its_encoding;
mod a_price_is_believed_unchecked;
mod an_extension_fails_for_no_reason;
mod bytes_are_lost_or_reordered;
mod data_flows_unpaid;
mod free_records_flood_a_circuit;
mod money_is_lost_with_its_circuit;
mod random_operations_lose_bytes_or_money;
mod secrets_are_printed;
mod the_two_ends_count_differently;
mod the_wire_format_is_not_as_specified;
