//! Durations follow what they learn, resist outliers, age, and stay bounded.

use super::*;

fn ran(wall_us: u64, at_s: u32) -> Observation {
    let usage = Usage { wall_us, cpu_us: wall_us, ..Usage::default() };
    Observation { usage, vcpus_milli: 1000, at_s }
}

fn wall_us(durations: &Durations, provider: u32) -> u64 {
    durations.predict(durations.reference(), ProviderId::new(provider), Ratio::default()).wall_us
}

fn taught(walls: &[u64]) -> Durations {
    let mut durations = Durations::default();
    for (provider, wall) in (0..).map(ProviderId::new).zip(walls) {
        durations.learn(provider, &ran(*wall, 0));
    }
    durations
}

#[test]
fn an_estimate_follows_a_drift() {
    let mut durations = taught(&[1_000]);
    for _ in 0..80 {
        durations.learn(ProviderId::new(0), &ran(8_000, 0));
    }
    assert!((7_500..8_200).contains(&wall_us(&durations, 0)), "{}", wall_us(&durations, 0));
}

#[test]
fn an_outlier_moves_an_estimate_by_an_eighth_octave() {
    let mut durations = taught(&[1_000]);
    for _ in 0..10 {
        durations.learn(ProviderId::new(0), &ran(1_000, 0));
    }
    durations.learn(ProviderId::new(0), &ran(3_600_000_000, 0));
    assert!((1_000..=1_100).contains(&wall_us(&durations, 0)), "{}", wall_us(&durations, 0));
}

#[test]
fn an_old_estimate_decays_to_the_median_never_past_it() {
    let mut durations = taught(&[8_000, 1_000, 1_000, 1_000]);
    let mut before = wall_us(&durations, 0);
    for hour in 1..20 {
        for provider in 1..4 {
            durations.learn(ProviderId::new(provider), &ran(1_000, hour * 3600));
        }
        let now = wall_us(&durations, 0);
        assert!((950..=before).contains(&now), "{now} after {before}");
        before = now;
    }
    assert!(before < 1_100, "{before}");
}

#[test]
fn beyond_the_most_pairs_the_oldest_makes_room() {
    let walls: Vec<u64> = (0..PAIRS_MAX as u64 + 10).map(|i| 1_000 + i).collect();
    let durations = taught(&walls);
    assert_eq!((durations.fastest().len(), durations.learned().count() as usize), (PAIRS_MAX, PAIRS_MAX));
    assert!(!durations.learned().has(9) && durations.learned().has(10));
    assert_eq!(durations.oldest_first().count(), PAIRS_MAX);
    assert!(durations.fastest().is_sorted());
}

#[test]
fn a_pair_takes_32_bytes() {
    assert_eq!(size_of::<Pair>(), 32);
}
