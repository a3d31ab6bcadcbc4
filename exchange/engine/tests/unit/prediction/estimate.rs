//! Logarithms of durations are exact at their steps, and turn back into durations.

use super::*;

#[test]
#[allow(clippy::disallowed_types, reason = "a bound of a test")]
fn a_duration_survives_its_logarithm_within_a_64th_octave() {
    for micros in [1u64, 2, 3, 7, 100, 999, 40_312, 100_000, 3_600_000_000] {
        let back = LogDuration::of_micros(micros).micros() as f64 / micros as f64;
        assert!((0.5..=1.012).contains(&back) && (micros < 100 || back > 0.988), "{micros}: {back}");
    }
}

#[test]
fn a_logarithm_is_exact_at_the_edges_of_its_steps() {
    for micros in [1, 2, 3, 1_391_023, 5_564_092, 10_013_001, 13_175_617, 3_600_000_000] {
        let power = num_bigint::BigUint::from(micros).pow(FINE as u32);
        assert_eq!(LogDuration::of_micros(micros).0, power.bits() as i32 - 1, "{micros}");
    }
}

#[test]
fn doubling_adds_one_octave() {
    for micros in [1u64, 5, 1234, 99_999] {
        let (one, two) = (LogDuration::of_micros(micros), LogDuration::of_micros(micros * 2));
        assert_eq!(two.octave_less(), one);
    }
}
