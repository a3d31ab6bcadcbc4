//! Providers with room in steps of how they compare in general, and in each step by their cheapest rate.
//!
//! Of those that have not run a function, all in one step are predicted alike, so that of each step the first few decide.
//! Owns this order; everything in it can be computed from ladders and general ratios.

use merit_terms::ProviderId;

use crate::collections::ranks::Ranks;
use crate::prediction::estimate::{FINE, RATIO_MAX, Ratio};

/// A 32nd of an octave, as predictions have it.
const STEP: i32 = FINE / 32;
const STEPS: usize = (2 * RATIO_MAX / STEP) as usize + 1;
/// The cheapest rate where there is none.
const NOTHING: u64 = u64::MAX;

/// A provider with room somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Priced {
    /// Its cheapest rate, in picodollars per GB-s.
    pub(crate) rate: u64,
    pub(crate) provider: ProviderId,
    pub(crate) general: Ratio,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    rate: Option<u64>,
    general: Ratio,
}

#[derive(Clone, Debug)]
pub(crate) struct Speeds {
    /// By step of the general ratio.
    steps: Vec<Ranks<Priced>>,
    /// The cheapest rate in each.
    cheapest: Vec<u64>,
    /// By provider.
    known: Vec<Known>,
}

impl Default for Speeds {
    fn default() -> Speeds {
        Speeds { steps: vec![Ranks::default(); STEPS], cheapest: vec![NOTHING; STEPS], known: Vec::new() }
    }
}

impl Known {
    /// Its step and what it is there.
    fn priced(&self, provider: ProviderId) -> Option<(usize, Priced)> {
        let step = (self.general.raw() + RATIO_MAX) / STEP; // within the bounds of a ratio, so at least 0
        Some((step as usize, Priced { rate: self.rate?, provider, general: self.general }))
    }
}

impl Speeds {
    /// The steps with providers in them, fastest first: which, at most what general ratio all in it have, and the cheapest rate.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (usize, Ratio, u64)> {
        let filled = self.cheapest.iter().enumerate().filter(|(_, cheapest)| **cheapest != NOTHING);
        filled.map(|(step, cheapest)| (step, Ratio::of_raw(step as i32 * STEP - RATIO_MAX), *cheapest))
    }

    /// Those in a step, cheapest first.
    pub(crate) fn of(&self, step: usize) -> impl Iterator<Item = &Priced> {
        self.steps[step].iter()
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

    fn look_at(&mut self, step: usize) {
        self.cheapest[step] = self.steps[step].first().map_or(NOTHING, |first| first.rate);
    }
}
