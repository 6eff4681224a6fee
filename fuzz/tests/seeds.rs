//! The seeds through their targets on plain stable, and a little damage done to each: what a
//! machine without `cargo fuzz` can check.

use coinfuse_fuzz::{TARGETS, Target};
use std::path::Path;

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(name);
    let read = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read(entry?.path());
    let seeds: Result<_, _> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(read)
        .collect();
    seeds.expect("readable seeds")
}

fn each(check: impl Fn(Target, &[u8])) {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        seeds.iter().for_each(|seed| check(target, seed));
    }
}

#[test]
fn every_target_holds_for_its_seeds() {
    each(|target, seed| target(seed));
}

#[test]
fn every_target_holds_for_truncated_seeds() {
    each(|target, seed| (0..seed.len()).for_each(|len| target(&seed[..len])));
}

#[test]
fn every_target_holds_for_seeds_with_one_byte_changed() {
    each(|target, seed| {
        let mut damaged = seed.to_vec();
        for place in 0..seed.len() {
            for byte in [0x00, 0x01, 0x7f, 0x80, 0xfd, 0xff, seed[place] ^ 1] {
                damaged[place] = byte;
                target(&damaged);
            }
            damaged[place] = seed[place];
        }
    });
}

#[test]
fn every_target_is_in_the_manifest_for_cargo_fuzz() {
    let manifest = include_str!("../Cargo.toml");
    let bins = manifest.matches("[[bin]]").count();
    assert_eq!(bins, TARGETS.len());
    for (name, _) in TARGETS {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "{name}"
        );
    }
}
