//! Providers in order of what a call would cost that none of them has run: its cheapest rate, times how it compares.
//!
//! A score is a bound that holds for every function and tariff, so one order serves all of them. Owns that order; everything
//! in it can be computed from ladders and general ratios.

use merit_terms::ProviderId;

use crate::estimate::{FINE, RATIO_MAX, Ratio, log2};
use crate::ranks::Ranks;

/// General ratios are counted in steps of a 32nd of an octave.
const STEP: i32 = FINE / 32;
const STEPS: usize = (2 * RATIO_MAX / STEP) as usize + 1;
/// Of a rate of 0: below every other.
const FREE: i32 = i32::MIN / 2;

/// A provider with room somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Score {
    /// The logarithm of rate x general ratio, in 1/2048 of an octave, rounded down.
    pub(crate) log: i32,
    pub(crate) provider: ProviderId,
    /// Its cheapest rate, in picodollars per GB-s.
    pub(crate) rate: u64,
    pub(crate) general: Ratio,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    rate: Option<u64>,
    general: Ratio,
    score: Option<Score>,
}

#[derive(Clone, Debug)]
pub(crate) struct Scores {
    order: Ranks<Score>,
    known: Vec<Known>,
    /// How many of those in the order have a general ratio in each step.
    generals: Vec<u32>,
}

impl Default for Scores {
    fn default() -> Scores {
        Scores { order: Ranks::default(), known: Vec::new(), generals: vec![0; STEPS] }
    }
}

impl Scores {
    /// Lowest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Score> {
        self.order.iter()
    }

    /// At most the least general ratio of those in the order.
    pub(crate) fn least_general(&self) -> Option<Ratio> {
        let first = self.generals.iter().position(|count| *count > 0)?;
        Some(Ratio::of_raw(first as i32 * STEP - RATIO_MAX))
    }

    /// The cheapest rate at which a provider has room; none: it has room nowhere.
    pub(crate) fn sell(&mut self, provider: ProviderId, rate: Option<u64>) {
        self.change(provider, |known| known.rate = rate);
    }

    /// How a provider compares in general.
    pub(crate) fn compare(&mut self, provider: ProviderId, general: Ratio) {
        self.change(provider, |known| known.general = general);
    }

    fn change(&mut self, provider: ProviderId, change: impl FnOnce(&mut Known)) {
        if self.known.len() <= provider.index() {
            self.known.resize(provider.index() + 1, Known::default());
        }
        let known = &mut self.known[provider.index()];
        change(known);
        let general = known.general;
        let after = known.rate.map(|rate| {
            let log = if rate == 0 { FREE } else { log2(rate) + general.raw() };
            Score { log, provider, rate, general }
        });
        let before = std::mem::replace(&mut known.score, after);
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.order.remove(before);
            self.generals[step(before.general)] -= 1;
        }
        if let Some(after) = after {
            self.order.insert(after);
            self.generals[step(after.general)] += 1;
        }
    }
}

fn step(general: Ratio) -> usize {
    ((general.raw() + RATIO_MAX) / STEP) as usize // within the bounds of a ratio, so at least 0
}
