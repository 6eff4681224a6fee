//! Packets that arrive.

use crate::net::{relay_id, secret, seed, voucher};
use coinfuse_onion::{Destination, LARGE, NextHop, Packet, Question, SMALL, Task, Terms, Via};
use coinfuse_wire::ServiceCode;
use core::time::Duration;

fn delayed(n: usize) -> Terms {
    Terms {
        payment: Some(voucher(n)),
        delay: Duration::from_millis(100 * n as u64),
    }
}

/// Over `hops` relays, each of which finds its own voucher and delay.
fn arrives<const N: usize>(hops: usize) {
    let last = hops - 1;
    let via = |n| Via {
        key: secret(n).public_key(),
        next: NextHop::Relay(relay_id(n + 1)),
        terms: delayed(n),
    };
    let question = Question {
        via: &(0..last).map(via).collect::<Vec<_>>(),
        to: &Destination {
            key: secret(last).public_key(),
            service: ServiceCode::MEMPOOL,
            instruction: b"soon".to_vec(),
            terms: delayed(last),
        },
        message: b"a transaction",
        reply: None,
    };
    let mut packet: Packet<N> = question.build(&seed(1)).unwrap();
    for n in 0..last {
        let opened = secret(n).open(packet).unwrap();
        assert_eq!(
            (opened.payment, opened.delay),
            (delayed(n).payment, delayed(n).delay)
        );
        let Task::Forward { next, packet: rest } = opened.task else {
            panic!("hop {n} of {hops}");
        };
        assert_eq!(next, NextHop::Relay(relay_id(n + 1)));
        packet = rest;
    }
    let opened = secret(last).open(packet).unwrap();
    assert_eq!(opened.payment, Some(voucher(last)));
    let Task::Deliver(delivery) = opened.task else {
        panic!("the last of {hops}");
    };
    assert_eq!(delivery.service, ServiceCode::MEMPOOL);
    assert_eq!(delivery.instruction, b"soon");
    assert_eq!(delivery.message, b"a transaction");
    assert_eq!(delivery.reply, None);
}

#[test]
fn a_message_arrives_over_one_to_eight_hops_in_both_sizes() {
    for hops in 1..=8 {
        arrives::<SMALL>(hops);
        arrives::<LARGE>(hops);
    }
}
