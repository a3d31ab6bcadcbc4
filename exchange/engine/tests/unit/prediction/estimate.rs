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
fn the_step_is_the_nearest_of_the_logarithm() {
    let powers = (0..32).flat_map(|octave| (0..32).map(move |step| (octave, step)));
    for (octave, step) in powers {
        let bound = (((BOUNDS[step] as u128) << octave) >> FRACTION_BITS) as u64;
        for micros in [bound, bound + 1].into_iter().filter(|micros| *micros > 0) {
            assert_eq!(rounded(micros), LogDuration::of_micros(micros).micros(), "{micros}");
        }
    }
    assert_eq!((rounded(0), rounded(u64::MAX)), (0, 1 << 40));
}

#[test]
fn half_a_duration_is_an_octave_less() {
    for micros in [2u64, 5, 1234, 99_999] {
        assert_eq!(LogDuration::at_step(micros * 2).half_times(Ratio::default()), rounded(micros));
    }
}
