//! Quantised logarithms of durations in integer arithmetic: every replay predicts the same.
//!
//! A duration is stored as its base-2 logarithm in 1/2048 of an octave and predicted in 1/32 of an octave, so that
//! near-equal offers tie. Owns the arithmetic; knows no providers, no offers and no money.

use serde::{Deserialize, Serialize};

/// Steps of a stored logarithm per octave.
pub(crate) const FINE: i32 = 2048;
/// Steps of a prediction per octave.
const STEPS: i32 = 32;
/// Bound of a ratio: 1/8 to 8, three octaves either way.
pub(crate) const RATIO_MAX: i32 = 3 * FINE;
/// Divisor of the difference by which a general ratio moves.
const WEIGHT: i32 = 8;
/// Octaves of predicted durations: up to 2^40 us, some twelve days.
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

/// Fractional bits of a mantissa below 2. Its square, below 4, fits 64 bits; logarithms of durations up to an hour are
/// exact.
const FRACTION_BITS: u32 = 62;

/// 2^(1/64) in 62 fractional bits.
const HALF_ROOT: u128 = 4_661_903_986_662_671_289;
/// 2^((2i+1)/64) in 62 fractional bits: the bounds between the steps of an octave.
static BOUNDS: [u64; STEPS as usize] = {
    let mut bounds = [0; STEPS as usize];
    let (mut power, mut i) = (HALF_ROOT, 0);
    while i < bounds.len() {
        bounds[i] = power as u64;
        power = (((power * HALF_ROOT) >> FRACTION_BITS) * HALF_ROOT) >> FRACTION_BITS;
        i += 1;
    }
    bounds
};

/// Rounds a quantity to the nearest step of 1/32 of an octave, down to an integer; 0 stays 0.
pub(crate) fn rounded(quantity: u64) -> u64 {
    if quantity == 0 { 0 } else { LogDuration::at_step(quantity).micros() }
}

impl LogDuration {
    /// Returns the logarithm at the step of 1/32 of an octave that is nearest to a duration.
    pub(crate) fn at_step(micros: u64) -> LogDuration {
        let micros = micros.clamp(1, 1 << OCTAVES);
        let whole = 63 - micros.leading_zeros() as i32;
        let mantissa = ((u128::from(micros) << FRACTION_BITS) >> whole) as u64;
        let step = BOUNDS.partition_point(|bound| *bound <= mantissa) as i32;
        LogDuration((whole * STEPS + step) * (FINE / STEPS))
    }

    /// Returns the logarithm of a duration, rounded down.
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

    /// Returns the duration in microseconds, rounded to 1/32 of an octave; at least 1.
    pub(crate) fn micros(self) -> u64 {
        let steps = ((self.0 + FINE / STEPS / 2) / (FINE / STEPS)).clamp(0, OCTAVES * STEPS);
        MICROS[steps as usize]
    }

    pub(crate) fn minus(self, other: LogDuration) -> Ratio {
        Ratio((self.0 - other.0).clamp(-RATIO_MAX, RATIO_MAX))
    }

    /// Returns half the duration x a ratio, in microseconds; at least 1.
    pub(crate) fn half_times(self, ratio: Ratio) -> u64 {
        LogDuration(self.0 - FINE + ratio.0).micros()
    }

    /// Clamps to within one octave of `other`.
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
    /// Moves towards `seen` by an eighth of the difference.
    pub(crate) fn moved_towards(self, seen: Ratio) -> Ratio {
        Ratio(self.0 + (seen.0 - self.0) / WEIGHT)
    }

    pub(crate) fn raw(self) -> i32 {
        self.0
    }

    /// Makes a ratio of its logarithm, clamped to the bounds.
    pub(crate) fn of_raw(raw: i32) -> Ratio {
        Ratio(raw.clamp(-RATIO_MAX, RATIO_MAX))
    }
}

#[cfg(test)]
#[path = "../../tests/unit/prediction/estimate.rs"]
mod tests;
