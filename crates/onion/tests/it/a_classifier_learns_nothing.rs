//! From the bytes of packets at the places 1 to 5 of their paths nobody learns the place, nor whether
//! it is a question or an answer. Seeds are fixed, so this fails always or never.

use crate::net::{question, secret, seed, trace, way_back};
use coinfuse_onion::{HOP_RECORD_LEN, SMALL, SmallPacket, bolt4};
use std::collections::HashSet;

/// Packets of one class, as their bytes.
type Class = Vec<Vec<u8>>;

const HOPS: usize = 5;
const PATHS: usize = 400;
/// How many of a packet's half bytes the classifier looks at: those that told most in training.
const LOOKS_AT: usize = 8;

/// Packets of questions by their place on the path.
fn places() -> Vec<Class> {
    let mut places = vec![Class::new(); HOPS];
    for number in 0..PATHS {
        let packet: SmallPacket = question(HOPS, number, b"a transaction", None);
        for (place, packet) in trace(packet, 0..HOPS).into_iter().enumerate() {
            places[place].push(packet.to_bytes());
        }
    }
    places
}

/// Packets of answers on the second place of five.
fn answers() -> Class {
    let answer = |number| {
        let (path, _) = way_back(HOPS, 10_000 + number);
        let packet: SmallPacket = path.answer(&seed(20_000 + number), b"its txid").unwrap();
        trace(packet, [HOPS - 1]).pop().unwrap().to_bytes()
    };
    (0..PATHS).map(answer).collect()
}

fn half_byte(packet: &[u8], place: usize) -> usize {
    usize::from(packet[place / 2] >> (place % 2 * 4) & 15)
}

/// How often a half byte has which value, for each class.
fn counts(classes: &[&[Vec<u8>]], place: usize) -> Vec<[f64; 16]> {
    let count = |class: &&[Vec<u8>]| {
        let mut counts = [0.0; 16];
        class
            .iter()
            .for_each(|packet| counts[half_byte(packet, place)] += 1.0);
        counts
    };
    classes.iter().map(count).collect()
}

/// Pearson's measure of how much a half byte depends on the class.
fn dependence(counts: &[[f64; 16]]) -> f64 {
    let mut sum = 0.0;
    for value in 0..16 {
        let mean = counts.iter().map(|class| class[value]).sum::<f64>() / counts.len() as f64;
        if mean > 0.0 {
            sum += counts
                .iter()
                .map(|class| (class[value] - mean).powi(2) / mean)
                .sum::<f64>();
        }
    }
    sum
}

struct Trained {
    /// Half bytes and the logarithms of their values' frequencies, for each class.
    features: Vec<(usize, Vec<[f64; 16]>)>,
    strongest: f64,
}

fn train(classes: &[&[Vec<u8>]]) -> Trained {
    let mut features: Vec<_> = (0..2 * SmallPacket::LEN)
        .map(|place| (place, counts(classes, place)))
        .map(|(place, counts)| (dependence(&counts), place, counts))
        .collect();
    features.sort_by(|a, b| b.0.total_cmp(&a.0));
    let log = |class: [f64; 16]| class.map(|count| (count + 1.0).ln());
    Trained {
        strongest: features[0].0,
        features: features
            .into_iter()
            .take(LOOKS_AT)
            .map(|(_, place, counts)| (place, counts.into_iter().map(log).collect()))
            .collect(),
    }
}

impl Trained {
    fn guess(&self, packet: &[u8], classes: usize) -> usize {
        let score = |class: usize| -> f64 {
            let one =
                |(place, logs): &(usize, Vec<[f64; 16]>)| logs[class][half_byte(packet, *place)];
            self.features.iter().map(one).sum()
        };
        (0..classes)
            .max_by(|a, b| score(*a).total_cmp(&score(*b)))
            .unwrap()
    }
}

/// How many of 100 guesses are right for packets that were not trained on, and the strongest
/// dependence of a half byte on the class in training.
fn learn(classes: &[Class]) -> (f64, f64) {
    let (train_on, test_on): (Vec<_>, Vec<_>) = classes
        .iter()
        .map(|class| class.split_at(class.len() / 2))
        .unzip();
    let trained = train(&train_on);
    let (mut right, mut all) = (0.0, 0.0);
    for (class, packets) in test_on.iter().enumerate() {
        for packet in *packets {
            all += 100.0;
            right += if trained.guess(packet, classes.len()) == class {
                100.0
            } else {
                0.0
            };
        }
    }
    (right / all * 100.0, trained.strongest)
}

#[test]
fn of_the_place_on_the_path() {
    let (right, strongest) = learn(&places());
    // Chance is 20 of 100, with a deviation of 1.3 over 1,000 guesses.
    assert!((15.0..25.0).contains(&right), "{right}");
    // The first half byte of the key apart, all of 8,192 are as even as dice: chi squared with 60
    // degrees of freedom is above 140 once in 10^8.
    assert!(strongest < 140.0, "{strongest}");
}

#[test]
fn of_whether_it_is_a_question_or_an_answer() {
    let questions = places().swap_remove(1);
    let (right, strongest) = learn(&[questions, answers()]);
    // Chance is 50 of 100, with a deviation of 2.5 over 400 guesses.
    assert!((40.0..60.0).contains(&right), "{right}");
    // 15 degrees of freedom: above 70 once in 10^8.
    assert!(strongest < 70.0, "{strongest}");
}

#[test]
fn but_it_would_if_one_byte_told_in_every_second_packet() {
    let mut places = places();
    for (place, class) in places.iter_mut().enumerate() {
        class
            .iter_mut()
            .step_by(2)
            .for_each(|packet| packet[1_000] = place as u8);
    }
    let (right, strongest) = learn(&places);
    // All that told and a fifth of the others would be 60; noise costs it some.
    assert!((45.0..65.0).contains(&right), "{right}");
    assert!(strongest > 1_000.0, "{strongest}");
}

#[test]
fn of_the_length_of_what_relays_find() {
    // The payload of a relay that forwards: the same there and back, whatever the voucher.
    let len = |packet, n| {
        bolt4::peel(&secret(n), packet, b"Coinfuse_onion_v1")
            .unwrap()
            .payload
            .len()
    };
    let there = trace::<SMALL>(question(HOPS, 0, b"a transaction", None), 0..HOPS);
    let back = way_back(HOPS, 1)
        .0
        .answer::<SMALL>(&seed(2), b"its txid")
        .unwrap();
    let back = trace(back, (0..HOPS).rev());
    let want = HOP_RECORD_LEN + 16 + 2;
    for (n, packet) in there.into_iter().enumerate().take(HOPS - 1) {
        assert_eq!(len(packet, n), want);
    }
    for (n, packet) in (0..HOPS).rev().zip(back) {
        assert_eq!(len(packet, n), want);
    }
}

#[test]
fn of_who_made_which_packets() {
    let mut seen = HashSet::new();
    let mut bits = 0;
    let mut before = [0; 32];
    for number in 0..PATHS {
        // Seeds that differ in one bit or two, as those of a careless client might.
        let packet: SmallPacket = question(HOPS, number, b"a transaction", None);
        for packet in trace(packet, 0..HOPS) {
            // Without the sign: also the opposite of a point would be a relation.
            let key: [u8; 32] = packet.to_bytes()[2..34].try_into().unwrap();
            assert!(seen.insert(key));
            bits += key
                .iter()
                .zip(&before)
                .map(|(a, b)| (a ^ b).count_ones())
                .sum::<u32>();
            before = key;
        }
    }
    // Half of the bits differ from one key to the next: 128 with a deviation of 0.18 over 2,000.
    let mean = f64::from(bits) / (PATHS * HOPS) as f64;
    assert!((127.0..129.0).contains(&mean), "{mean}");
}
