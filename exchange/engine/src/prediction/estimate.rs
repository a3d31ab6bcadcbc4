//! Learned durations: quantised logarithms in integer arithmetic, so that every replay predicts the same.
//!
//! A duration is kept as its base-2 logarithm in 1/2048 of an octave and predicted in 1/32 of an octave,
//! so that near-equal offers tie. Owns the arithmetic; knows no providers, no offers and no money.

use serde::{Deserialize, Serialize};

/// Steps of a stored logarithm in one octave.
pub(crate) const FINE: i32 = 2048;
/// Steps of a prediction in one octave.
const STEPS: i32 = 32;
/// A provider's ratio is predicted within 1/8 to 8: three octaves.
pub(crate) const RATIO_MAX: i32 = 3 * FINE;
/// A general ratio moves by this part of the difference.
const WEIGHT: i32 = 8;
/// Predictions of all durations up to 2^40 us, some twelve days.
const OCTAVES: i32 = 40;

/// A duration as the logarithm of its microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct LogDuration(i32);

/// 2^(1/32) in 48 fractional bits.
const ROOT: u128 = 287_638_476_118_103;
/// 2^(i/32) in 48 fractional bits.
const POWERS: [u64; STEPS as usize] = {
    let mut powers = [1 << 48; STEPS as usize];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = ((powers[i - 1] as u128 * ROOT) >> 48) as u64;
        i += 1;
    }
    powers
};

/// 2^(i/32) us, rounded down.
static MICROS: [u64; (OCTAVES * STEPS) as usize + 1] = {
    let mut micros = [0; (OCTAVES * STEPS) as usize + 1];
    let mut i = 0;
    while i < micros.len() {
        let steps = i as i32;
        micros[i] = (((POWERS[(steps % STEPS) as usize] as u128) << (steps / STEPS)) >> 48) as u64;
        i += 1;
    }
    micros
};

/// Fractional bits of a mantissa below 2, whose square below 4 must fit 64 bits: enough for exact logarithms of
/// all durations up to an hour.
const FRACTION_BITS: u32 = 62;

impl LogDuration {
    /// Rounded down.
    pub(crate) fn of_micros(micros: u64) -> LogDuration {
        let micros = micros.max(1);
        let whole = 63 - micros.leading_zeros() as i32;
        // The mantissa, 1.0 to 2.0; squaring it gives one bit of the logarithm at a time.
        let mut mantissa = ((u128::from(micros) << FRACTION_BITS) >> whole) as u64;
        let mut log = whole;
        for _ in 0..FINE.trailing_zeros() {
            mantissa = ((u128::from(mantissa) * u128::from(mantissa)) >> FRACTION_BITS) as u64;
            let bit = i32::from(mantissa >= 2 << FRACTION_BITS);
            mantissa >>= bit;
            log = log * 2 + bit;
        }
        LogDuration(log)
    }

    /// Microseconds, rounded to 1/32 of an octave; at least 1.
    pub(crate) fn micros(self) -> u64 {
        let steps = ((self.0 + FINE / STEPS / 2) / (FINE / STEPS)).clamp(0, OCTAVES * STEPS);
        MICROS[steps as usize]
    }

    pub(crate) fn octave_less(self) -> LogDuration {
        LogDuration(self.0 - FINE)
    }

    pub(crate) fn minus(self, other: LogDuration) -> Ratio {
        Ratio((self.0 - other.0).clamp(-RATIO_MAX, RATIO_MAX))
    }

    pub(crate) fn times(self, ratio: Ratio) -> LogDuration {
        LogDuration((self.0 + ratio.0).max(0))
    }

    pub(crate) const fn raw(self) -> i32 {
        self.0
    }

    /// Within one octave of `other`.
    pub(crate) fn within_an_octave_of(self, other: LogDuration) -> LogDuration {
        LogDuration(self.0.clamp(other.0 - FINE, other.0 + FINE))
    }

    /// Moves towards `other` by one part in `parts` of the difference, and never past it.
    pub(crate) fn moved_towards(self, other: LogDuration, parts: i32) -> LogDuration {
        LogDuration(self.0 + (other.0 - self.0) / parts)
    }
}

/// The ratio of two durations, as a logarithm, within 1/8 to 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Ratio(i32);

impl Ratio {
    /// Moves towards what was `seen` by an eighth of the difference.
    pub(crate) fn moved_towards(self, seen: Ratio) -> Ratio {
        Ratio(self.0 + (seen.0 - self.0) / WEIGHT)
    }

    pub(crate) fn raw(self) -> i32 {
        self.0
    }

    /// Within its bounds.
    pub(crate) fn of_raw(raw: i32) -> Ratio {
        Ratio(raw.clamp(-RATIO_MAX, RATIO_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_survives_its_logarithm_within_a_sixty_fourth_of_an_octave() {
        for micros in [1u64, 2, 3, 7, 100, 999, 40_312, 100_000, 3_600_000_000] {
            let back = LogDuration::of_micros(micros).micros() as f64 / micros as f64;
            assert!((0.5..=1.012).contains(&back) && (micros < 100 || back > 0.988), "{micros}: {back}");
        }
    }

    #[test]
    fn a_logarithm_is_exact_at_the_edges_of_its_steps() {
        for micros in [1, 2, 3, 1_391_023, 5_564_092, 10_013_001, 13_175_617, 3_600_000_000] {
            let power = num_bigint::BigUint::from(micros).pow(FINE as u32);
            assert_eq!(LogDuration::of_micros(micros).raw(), power.bits() as i32 - 1, "{micros}");
        }
    }

    #[test]
    fn doubling_adds_one_octave() {
        for micros in [1u64, 5, 1234, 99_999] {
            let (one, two) = (LogDuration::of_micros(micros), LogDuration::of_micros(micros * 2));
            assert_eq!(two.octave_less(), one);
        }
    }
}
