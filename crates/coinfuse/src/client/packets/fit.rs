//! Which size a message needs.

use super::AskError;
use coinfuse_onion::{
    Destination, LARGE, NextHop, OnionKey, OnionSecret, PaymentBytes, Question, ReplyPath, SMALL,
    Terms, TooLong, Via,
};
use coinfuse_wire::{PacketSize, RelayId, ServiceCode};
use core::time::Duration;

/// Longer than the lengths up to which lengths are shorter.
const SAMPLE: usize = 20_000;

/// How long messages may be on a journey over so many relays.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// What a packet's region has besides the message.
    taken: usize,
}

impl Room {
    /// Found by making a question that fits no packet.
    pub(super) fn of(hops: usize, hops_back: usize, instruction: &[u8]) -> Self {
        let key = OnionSecret::from_seed(&[1; 32]).public_key();
        let via = |hops: usize| vec![any_via(key); hops];
        let reply = ReplyPath::new(&[1; 32], RelayId::new([0; 32]), &via(hops_back));
        let to = Destination {
            key,
            service: ServiceCode::MEMPOOL,
            instruction: instruction.to_vec(),
            terms: longest_terms(),
        };
        let question = Question {
            via: &via(hops.saturating_sub(1)),
            to: &to,
            message: &[0; SAMPLE],
            reply: reply.ok().map(|(path, _)| path),
        };
        let taken = match question.build::<0>(&[1; 32]) {
            Err(TooLong { need, .. }) => need.saturating_sub(SAMPLE),
            Ok(_) => 0,
        };
        Self { taken }
    }

    /// The smallest packet that takes a message of so many bytes.
    pub(super) fn size(self, message: usize) -> Result<PacketSize, AskError> {
        match message {
            len if len <= self.longest(SMALL) => Ok(PacketSize::Small),
            len if len <= self.longest(LARGE) => Ok(PacketSize::Large),
            _ => Err(AskError::TooLong {
                max: self.longest(LARGE),
            }),
        }
    }

    const fn longest(self, region: usize) -> usize {
        region.saturating_sub(self.taken)
    }
}

fn any_via(key: OnionKey) -> Via {
    Via {
        key,
        next: NextHop::Mailbox([0; 32]),
        terms: longest_terms(),
    }
}

fn longest_terms() -> Terms {
    Terms {
        payment: PaymentBytes::new(vec![0; PaymentBytes::MAX]).ok(),
        delay: Duration::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a packet of `N` with the dearest hops takes the message.
    fn builds<const N: usize>(hops: usize, back: usize, message: usize) -> bool {
        let key = OnionSecret::from_seed(&[1; 32]).public_key();
        let via = |hops| vec![any_via(key); hops];
        let first = RelayId::new([0; 32]);
        let (reply, _) = ReplyPath::new(&[1; 32], first, &via(back)).unwrap();
        let to = Destination {
            key,
            service: ServiceCode::MEMPOOL,
            instruction: Vec::new(),
            terms: longest_terms(),
        };
        let question = Question {
            via: &via(hops - 1),
            to: &to,
            message: &vec![0; message],
            reply: Some(reply),
        };
        question.build::<N>(&[1; 32]).is_ok()
    }

    #[test]
    fn a_message_gets_the_smallest_packet_that_takes_it_and_is_refused_where_none_does() {
        for (hops, back) in [(2, 1), (3, 3), (5, 5)] {
            let room = Room::of(hops, back, &[]);
            let size = |len| room.size(len).ok();
            let sizes = |wanted| (0..32_768).filter(|len| size(*len) == Some(wanted)).count();
            let small = sizes(PacketSize::Small);
            let all = small + sizes(PacketSize::Large);
            // The last that fit, and the first that do not.
            assert!(builds::<SMALL>(hops, back, small - 1));
            assert!(!builds::<SMALL>(hops, back, small));
            assert!(builds::<LARGE>(hops, back, all - 1));
            assert!(!builds::<LARGE>(hops, back, all));
            let too_long = room.size(all);
            let Err(AskError::TooLong { max }) = too_long else {
                panic!("{too_long:?}");
            };
            assert_eq!(max, all - 1);
        }
    }

    #[test]
    fn two_thousand_bytes_are_small_over_three_hops_and_back() {
        let room = Room::of(3, 3, &[]);
        assert_eq!(room.size(2_050).ok(), Some(PacketSize::Small));
        // An instruction takes its room.
        let room = Room::of(3, 3, &[0; 500]);
        assert_eq!(room.size(2_050).ok(), Some(PacketSize::Large));
    }
}
