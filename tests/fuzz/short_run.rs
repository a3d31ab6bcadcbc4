//! The short run of the fuzz targets: every committed seed, and some thousands of seeded mutations of them.
//!
//! Needs no nightly compiler. `MERIT_FUZZ_RUNS` sets the mutations of each target; `MERIT_REGENERATE=1` writes the
//! seeds anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod seeds;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use merit_fuzz::TARGETS;
use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Mutations of a target; those that compile modules cost more.
const RUNS: u32 = 4_000;
/// Longest input, in bytes.
const INPUT_MAX_BYTES: usize = 4096;
/// Numbers at the edges of what lengths and counts may be.
const EDGES: [u8; 6] = [0, 1, 0x7f, 0x80, 0xfe, 0xff];

pub(crate) fn seeds_folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target)
}

fn committed(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(seeds_folder(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Runs a target on its seeds and on mutations of them. A failure names the input that made it.
fn check(name: &str, share: u32) {
    let (_, body) = TARGETS.into_iter().find(|(target, _)| *target == name).unwrap();
    let seeds = committed(name);
    assert!(!seeds.is_empty(), "no seeds for {name}");
    let runs = std::env::var("MERIT_FUZZ_RUNS").map_or(RUNS, |runs| runs.parse().unwrap()) / share;
    let mut random = Pcg64::seed_from_u64(11);
    let mutations = (0..runs).map(|_| mutated(&seeds, &mut random));
    for input in seeds.clone().into_iter().chain(mutations) {
        if catch_unwind(AssertUnwindSafe(|| body(&input))).is_err() {
            panic!("{name} fails on {}", input.escape_ascii());
        }
    }
}

/// Takes a seed and changes it at one to four places.
fn mutated(seeds: &[Vec<u8>], random: &mut Pcg64) -> Vec<u8> {
    let mut input = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=input.len());
        let length = random.random_range(0..=16).min(input.len() - at);
        match random.random_range(0..6) {
            0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            1 if at < input.len() => input[at] = EDGES[random.random_range(0..EDGES.len())],
            2 => drop(input.drain(at..at + length)),
            3 => input.insert(at, random.next_u32() as u8),
            4 => input.truncate(at.max(1)),
            _ => {
                let other = &seeds[random.random_range(0..seeds.len())];
                let from = random.random_range(0..=other.len());
                let part = other[from..].iter().take(64).copied();
                input.splice(at..at + length, part);
            }
        }
    }
    input.truncate(INPUT_MAX_BYTES);
    input
}

#[test]
fn heads_in_doubt_are_never_handed_on() {
    check("heads", 4);
}

#[test]
fn a_journal_of_any_bytes_is_refused_or_sound() {
    check("journal", 1);
}

#[test]
fn modules_keep_to_their_limits() {
    check("modules", 4);
}

#[test]
fn messages_survive_the_way_there_and_back() {
    check("protocol", 1);
}

#[test]
fn nothing_is_signed_without_its_secret() {
    check("signatures", 1);
}
