//! Every bit of a small packet, and one bit of every byte of a large one, at every hop. With
//! `COINFUSE_LONG` in the environment every bit of a large one too, which takes minutes.

use crate::net::{question, secret, trace};
use coinfuse_onion::{LARGE, Packet, SMALL};

/// The bits of a byte that are flipped, chosen by the place of the byte.
fn every_bit(_: usize) -> core::ops::Range<usize> {
    0..8
}

fn one_bit(place: usize) -> core::ops::Range<usize> {
    // Of bytes that lie side by side other bits.
    let bit = (place ^ place >> 3) % 8;
    bit..bit + 1
}

fn one_bit_or_every(place: usize) -> core::ops::Range<usize> {
    match std::env::var("COINFUSE_LONG").is_ok_and(|long| !long.is_empty()) {
        true => every_bit(place),
        false => one_bit(place),
    }
}

fn refused<const N: usize>(hops: usize, bits: fn(usize) -> core::ops::Range<usize>) {
    let packet: Packet<N> = question(hops, hops, b"a transaction", None);
    for (n, packet) in trace(packet, 0..hops).into_iter().enumerate() {
        let secret = secret(n);
        let mut bytes = packet.to_bytes();
        let opens = |bytes: &[u8]| {
            let packet = Packet::<N>::from_bytes(bytes);
            packet.is_ok_and(|packet| secret.open(packet).is_ok())
        };
        assert!(opens(&bytes), "hop {n} of {hops}");
        for place in 0..bytes.len() {
            for bit in bits(place) {
                bytes[place] ^= 1 << bit;
                assert!(!opens(&bytes), "hop {n} of {hops}, byte {place}, bit {bit}");
                bytes[place] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn in_a_small_packet_over_1_hop() {
    refused::<SMALL>(1, every_bit);
}

#[test]
fn in_a_small_packet_over_3_hops() {
    refused::<SMALL>(3, every_bit);
}

#[test]
fn in_a_small_packet_over_5_hops() {
    refused::<SMALL>(5, every_bit);
}

#[test]
fn in_a_large_packet_over_1_hop() {
    refused::<LARGE>(1, one_bit_or_every);
}

#[test]
fn in_a_large_packet_over_3_hops() {
    refused::<LARGE>(3, one_bit_or_every);
}

#[test]
fn in_a_large_packet_over_5_hops() {
    refused::<LARGE>(5, one_bit_or_every);
}
