//! All rungs of a provider in one list, cheapest first in each market, so that a search reads them in one go.

use merit_terms::MarketId;
use serde::{Deserialize, Serialize};

use crate::book::OfferSlot;

/// A rung: where its offer is, and what a search looks at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) market: MarketId,
    /// The rate per GB-s, in picodollars.
    pub(crate) rate: u64,
    pub(crate) slot: OfferSlot,
    /// Its form in the index of the market.
    #[serde(skip)]
    pub(crate) form: u32,
}

/// A provider's ladders in all markets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ladders(Vec<Step>);

impl Ladders {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn all(&self) -> &[Step] {
        &self.0
    }

    pub(crate) fn all_mut(&mut self) -> &mut [Step] {
        &mut self.0
    }

    fn range(&self, market: MarketId) -> std::ops::Range<usize> {
        let from = self.0.partition_point(|step| step.market < market);
        from..from + self.0[from..].partition_point(|step| step.market == market)
    }

    /// The ladder in one market, cheapest rate first.
    pub(crate) fn of(&self, market: MarketId) -> &[Step] {
        &self.0[self.range(market)]
    }

    /// Puts `ladder` in place of the one in `market`.
    pub(crate) fn replace(&mut self, market: MarketId, mut ladder: Vec<Step>) {
        ladder.sort_unstable_by_key(|step| (step.rate, step.slot));
        let range = self.range(market);
        if range.len() == ladder.len() {
            self.0[range].copy_from_slice(&ladder);
        } else {
            self.0.splice(range, ladder);
        }
    }

    /// Keeps the rungs that `stays` says.
    pub(crate) fn retain(&mut self, stays: impl FnMut(&Step) -> bool) {
        self.0.retain(stays);
    }
}
