//! A path of relays in a variable.

use coinfuse_onion::{
    Destination, NextHop, OnionSecret, Opened, Packet, PaymentBytes, Question, ReplyPath,
    ReplyTicket, Task, Terms, Via,
};
use coinfuse_wire::{RelayId, ServiceCode};

/// The client's mailbox at its first relay.
pub(crate) const MAILBOX: [u8; 32] = [0xb0; 32];

pub(crate) fn relay_id(n: usize) -> RelayId {
    RelayId::new([n as u8; 32])
}

/// The key of relay `n`.
pub(crate) fn secret(n: usize) -> OnionSecret {
    OnionSecret::from_seed(&[n as u8; 32])
}

/// A voucher for relay `n`.
pub(crate) fn voucher(n: usize) -> PaymentBytes {
    PaymentBytes::new(vec![n as u8; 79]).unwrap()
}

/// A seed that no other number gives.
pub(crate) fn seed(n: usize) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&n.to_be_bytes());
    seed
}

/// Relay `n`, which passes on to `next` for a voucher.
pub(crate) fn via(n: usize, next: NextHop) -> Via {
    Via {
        key: secret(n).public_key(),
        next,
        terms: Terms::paid(voucher(n)),
    }
}

/// A packet over the relays `0..hops` to a service of the last one.
pub(crate) fn question<const N: usize>(
    hops: usize,
    number: usize,
    message: &[u8],
    reply: Option<ReplyPath>,
) -> Packet<N> {
    let last = hops - 1;
    let forward = |n| via(n, NextHop::Relay(relay_id(n + 1)));
    Question {
        via: &(0..last).map(forward).collect::<Vec<_>>(),
        to: &Destination {
            key: secret(last).public_key(),
            service: ServiceCode::MEMPOOL,
            instruction: vec![],
            terms: Terms::paid(voucher(last)),
        },
        message,
        reply,
    }
    .build(&seed(number))
    .unwrap()
}

/// A way back from relay `hops - 1` over all before it to the client at relay 0.
pub(crate) fn way_back(hops: usize, number: usize) -> (ReplyPath, ReplyTicket) {
    let back = |n| match n {
        0 => via(0, NextHop::Mailbox(MAILBOX)),
        n => via(n, NextHop::Relay(relay_id(n - 1))),
    };
    let via: Vec<_> = (0..hops).rev().map(back).collect();
    ReplyPath::new(&seed(number), relay_id(hops - 1), &via).unwrap()
}

/// What a relay passes on.
pub(crate) fn forwarded<const N: usize>(opened: Opened<N>) -> Packet<N> {
    match opened.task {
        Task::Forward { packet, .. } => packet,
        Task::Deliver(_) => panic!("this was to be forwarded"),
    }
}

/// The packet as each relay of `path` receives it, and after that as the one behind does, if any.
pub(crate) fn trace<const N: usize>(
    packet: Packet<N>,
    path: impl IntoIterator<Item = usize>,
) -> Vec<Packet<N>> {
    let mut seen = vec![packet];
    for n in path {
        let opened = secret(n).open(seen[seen.len() - 1].clone()).unwrap();
        if let Task::Forward { packet, .. } = opened.task {
            seen.push(packet);
        }
    }
    seen
}
