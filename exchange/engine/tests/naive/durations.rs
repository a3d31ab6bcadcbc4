//! Durations as exact base-2 logarithms in 1/2048 of an octave, by powers and roots of big integers.
//!
//! The slow definition of the engine's bit-by-bit computation; knows no offers and no leases.

use std::cell::RefCell;
use std::collections::HashMap;

use num_bigint::BigUint;

pub(super) const OCTAVE: i32 = 2048;
/// Step of predictions: 1/32 of an octave.
const STEP: i32 = OCTAVE / 32;

/// Returns the greatest k with 2^(k/2048) <= micros, so 2^k <= micros^2048. Below 1 us counts as 1 us.
pub(crate) fn logarithm(micros: u64) -> i32 {
    thread_local! {
        static KNOWN: RefCell<HashMap<u64, i32>> = RefCell::default();
    }
    let computed = || BigUint::from(micros.max(1)).pow(OCTAVE as u32).bits() as i32 - 1;
    KNOWN.with_borrow_mut(|known| *known.entry(micros).or_insert_with(computed))
}

/// Returns 2^(k/32) microseconds rounded down, where k is the logarithm to the nearest step, halves upward.
pub(crate) fn micros(logarithm: i32) -> u64 {
    let steps = (logarithm.max(0) + STEP / 2) / STEP;
    let root = (BigUint::from(1_u32) << steps).nth_root(32);
    u64::try_from(root).unwrap_or(u64::MAX)
}

/// Returns the ratio of two durations, within 1/8 to 8.
pub(crate) fn ratio(of: i32, to: i32) -> i32 {
    (of - to).clamp(-3 * OCTAVE, 3 * OCTAVE)
}

/// Moves a general ratio by an eighth of the difference, rounded towards its old value.
pub(crate) fn moved(ratio: i32, seen: i32) -> i32 {
    ratio + (seen - ratio) / 8
}

/// Rounds to the nearest step of 1/32 of an octave; 0 stays 0.
pub(crate) fn rounded(quantity: u64) -> u64 {
    if quantity == 0 { 0 } else { micros(logarithm(quantity)) }
}

/// Predicts a duration without history: half the reference, to the nearest step, x the provider's general ratio.
pub(crate) fn half(reference: u64, general_ratio: i32) -> u64 {
    let steps = (logarithm(reference) + STEP / 2) / STEP;
    micros(steps * STEP - OCTAVE + general_ratio)
}
