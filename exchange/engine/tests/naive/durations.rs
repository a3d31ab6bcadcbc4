//! Durations as exact base-2 logarithms in 1/2048 of an octave, by powers and roots of big integers.
//!
//! The slow definition of what the engine computes bit by bit; knows no offers and no leases.

use merit_terms::Usage;
use num_bigint::BigUint;

const OCTAVE: i32 = 2048;
/// Predictions are in 1/32 of an octave.
const STEP: i32 = OCTAVE / 32;

/// What was learned of one provider for one revision: logarithms of wall and CPU time, and of how many
/// settlements, up to 8.
#[derive(Clone, Copy, Debug)]
pub(crate) struct History {
    pub(crate) wall: i32,
    pub(crate) cpu: i32,
    seen: i32,
}

/// The greatest k with 2^(k/2048) <= micros, so 2^k <= micros^2048. Below 1 us counts as 1 us.
pub(crate) fn logarithm(micros: u64) -> i32 {
    let power = BigUint::from(micros.max(1)).pow(OCTAVE as u32);
    power.bits() as i32 - 1
}

/// 2^(k/32) microseconds rounded down, where k is the logarithm to the nearest step, halves upward.
pub(crate) fn micros(logarithm: i32) -> u64 {
    let steps = (logarithm.max(0) + STEP / 2) / STEP;
    let root = (BigUint::from(1_u32) << steps).nth_root(32);
    u64::try_from(root).unwrap_or(u64::MAX)
}

/// Of an even number the lower of the middle two.
pub(crate) fn median(mut logarithms: Vec<i32>) -> Option<i32> {
    logarithms.sort_unstable();
    let last = logarithms.len().checked_sub(1)?;
    Some(logarithms[last / 2])
}

/// A ratio counts within 1/8 to 8.
pub(crate) fn ratio(of: i32, to: i32) -> i32 {
    (of - to).clamp(-3 * OCTAVE, 3 * OCTAVE)
}

/// A general ratio moves by an eighth of the difference, rounded towards where it was.
pub(crate) fn moved(ratio: i32, seen: i32) -> i32 {
    ratio + (seen - ratio) / 8
}

/// With history: the median x the provider's ratio to it.
pub(crate) fn predicted(own: i32, median: i32) -> u64 {
    micros(median + ratio(own, median))
}

/// Without: half the median x the provider's general ratio.
pub(crate) fn predicted_on_prior(median: i32, general_ratio: i32) -> u64 {
    micros(median - OCTAVE + general_ratio)
}

impl History {
    pub(crate) fn first(usage: &Usage) -> History {
        History { wall: logarithm(usage.wall_us), cpu: logarithm(usage.cpu_us), seen: 1 }
    }

    /// The mean of up to 8 settlements, then a moving one; differences are rounded towards what was known.
    pub(crate) fn learn(&mut self, usage: &Usage) {
        self.seen = 8.min(self.seen + 1);
        self.wall += (logarithm(usage.wall_us) - self.wall) / self.seen;
        self.cpu += (logarithm(usage.cpu_us) - self.cpu) / self.seen;
    }
}
