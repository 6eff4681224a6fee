//! Reasons on their way to the client.

use coinfuse_delivery::ExitFailure;
use std::collections::BTreeSet;

#[test]
fn a_reason_survives_as_number_and_as_token() {
    let mut seen = BTreeSet::new();
    for failure in ExitFailure::ALL {
        assert_eq!(ExitFailure::from_code(failure.code()), Some(*failure));
        assert_eq!(failure.token().parse(), Ok(*failure));
        assert!(seen.insert((failure.code(), failure.token())));
        let known = ExitFailure::from_response(failure.http_status(), Some(failure.token()));
        assert_eq!(known, *failure);
    }
    assert_eq!(ExitFailure::from_code(0), None);
}

#[test]
fn a_reason_from_a_newer_exit_is_read_from_the_status() {
    for (status, failure) in [
        (403, ExitFailure::PolicyRefused),
        (504, ExitFailure::ConnectTimeout),
        (429, ExitFailure::CircuitLimit),
        (503, ExitFailure::RelayLimit),
        (418, ExitFailure::Internal),
    ] {
        assert_eq!(
            ExitFailure::from_response(status, Some("of-next-year")),
            failure
        );
        assert_eq!(ExitFailure::from_response(status, None), failure);
    }
}

#[test]
fn socks_replies_are_those_of_rfc_1928() {
    for (failure, reply) in [
        (ExitFailure::PolicyRefused, 0x02),
        (ExitFailure::NetworkUnreachable, 0x03),
        (ExitFailure::HostUnreachable, 0x04),
        (ExitFailure::NoSuchName, 0x04),
        (ExitFailure::ConnectionRefused, 0x05),
        (ExitFailure::ConnectTimeout, 0x06),
        (ExitFailure::RelayLimit, 0x01),
    ] {
        assert_eq!(failure.socks_reply(), reply, "{failure}");
    }
}
