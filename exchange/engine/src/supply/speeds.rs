//! Providers with room in steps of their general ratio, and in each step by their cheapest rate.
//!
//! Newcomers of one step are predicted alike, so that the first few of each step decide. Owns this order; everything in
//! it is computed from ladders and general ratios.

use merit_terms::ProviderId;

use crate::collections::ranks::Ranks;
use crate::prediction::estimate::{FINE, RATIO_MAX, Ratio};

/// Width of a step: a 32nd of an octave, as predictions are quantised.
const STEP: i32 = FINE / 32;
/// Steps between the bounds of a ratio.
const STEPS: usize = (2 * RATIO_MAX / STEP) as usize + 1;
/// Cheapest rate of an empty step.
const NOTHING: u64 = u64::MAX;

/// A provider with room somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Priced {
    /// Cheapest rate, in picodollars per GB-s.
    pub(crate) rate: u64,
    pub(crate) provider: ProviderId,
    pub(crate) general: Ratio,
}

/// The rate and ratio of one provider.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    rate: Option<u64>,
    general: Ratio,
}

/// The providers with room, by step.
#[derive(Clone, Debug)]
pub(crate) struct Speeds {
    /// Providers by step of the general ratio.
    steps: Vec<Ranks<Priced>>,
    /// Cheapest rate by step.
    cheapest: Vec<u64>,
    /// By provider.
    known: Vec<Standing>,
}

impl Default for Speeds {
    fn default() -> Speeds {
        Speeds { steps: vec![Ranks::default(); STEPS], cheapest: vec![NOTHING; STEPS], known: Vec::new() }
    }
}

impl Standing {
    /// Returns its step and its entry there. None without room.
    fn priced(&self, provider: ProviderId) -> Option<(usize, Priced)> {
        let step = (self.general.raw() + RATIO_MAX) / STEP; // within the bounds of a ratio, so at least 0
        Some((step as usize, Priced { rate: self.rate?, provider, general: self.general }))
    }
}

impl Speeds {
    /// Lists the steps with providers, fastest first: number, lower bound of the general ratio, cheapest rate.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (usize, Ratio, u64)> {
        let filled = self.cheapest.iter().enumerate().filter(|(_, cheapest)| **cheapest != NOTHING);
        filled.map(|(step, cheapest)| (step, Ratio::of_raw(step as i32 * STEP - RATIO_MAX), *cheapest))
    }

    /// Lists the providers of a step, cheapest first.
    pub(crate) fn of(&self, step: usize) -> impl Iterator<Item = &Priced> {
        self.steps[step].iter()
    }

    /// Sets the cheapest rate at which a provider has room; none: it has room nowhere.
    pub(crate) fn sell(&mut self, provider: ProviderId, rate: Option<u64>) {
        self.change(provider, |known| known.rate = rate);
    }

    /// Sets the general ratio of a provider.
    pub(crate) fn compare(&mut self, provider: ProviderId, general: Ratio) {
        self.change(provider, |known| known.general = general);
    }

    fn change(&mut self, provider: ProviderId, change: impl FnOnce(&mut Standing)) {
        if self.known.len() <= provider.index() {
            self.known.resize(provider.index() + 1, Standing::default());
        }
        let known = &mut self.known[provider.index()];
        let before = known.priced(provider);
        change(known);
        let after = known.priced(provider);
        if before == after {
            return;
        }
        if let Some((step, priced)) = before {
            self.steps[step].remove(priced);
            self.look_at(step);
        }
        if let Some((step, priced)) = after {
            self.steps[step].insert(priced);
            self.look_at(step);
        }
    }

    /// Updates the cheapest rate of a step.
    fn look_at(&mut self, step: usize) {
        self.cheapest[step] = self.steps[step].first().map_or(NOTHING, |first| first.rate);
    }
}
