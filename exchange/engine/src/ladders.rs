//! All rungs of a provider in one list, cheapest first in each market, so that a search reads them in one go.

use merit_terms::MarketId;
use serde::{Deserialize, Serialize};

use crate::book::{OfferSlot, PoolSlot};
use crate::ranks::Entry;

/// A rung: where its offer is, and what a search looks at first.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    /// The rate per GB-s, in picodollars.
    pub(crate) rate: u64,
    pub(crate) market: MarketId,
    pub(crate) slot: OfferSlot,
    pub(crate) pool: PoolSlot,
    /// Its form in the index of the market.
    #[serde(skip)]
    pub(crate) form: u32,
    #[serde(skip)]
    pub(crate) stand: Stand,
}

/// Where a rung stands in the index of its market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stand {
    #[default]
    Nowhere,
    /// It has room for no call.
    Closed,
    /// It has room, and so has a cheaper one of its ladder and form.
    Behind,
    /// The cheapest of its ladder and form with room, which is in the index for all of them, with the earliest place and the
    /// dearest rate of them.
    Front { place: u64, dearest: u64 },
}

/// A provider's ladders in all markets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ladders(Vec<Step>);

impl Step {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stand, Stand::Behind | Stand::Front { .. })
    }

    /// Its entry in the index of its market, if it has one.
    pub(crate) fn entry(&self, provider: u32) -> Option<Entry> {
        match self.stand {
            Stand::Front { place, dearest } => Some(Entry { rate: self.rate, place, slot: self.slot, provider, dearest }),
            Stand::Nowhere | Stand::Closed | Stand::Behind => None,
        }
    }
}

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
        from..from + self.0[from..].iter().take_while(|step| step.market == market).count()
    }

    /// The ladder in one market, cheapest rate first.
    pub(crate) fn of(&self, market: MarketId) -> &[Step] {
        &self.0[self.range(market)]
    }

    pub(crate) fn of_mut(&mut self, market: MarketId) -> &mut [Step] {
        let range = self.range(market);
        &mut self.0[range]
    }

    /// Each market's ladder.
    pub(crate) fn each_mut(&mut self) -> impl Iterator<Item = &mut [Step]> {
        self.0.chunk_by_mut(|one, other| one.market == other.market)
    }

    /// The rung in one market whose offer is in `slot`.
    pub(crate) fn find(&self, market: MarketId, slot: OfferSlot) -> Option<&Step> {
        self.of(market).iter().find(|step| step.slot == slot)
    }

    /// The cheapest rate at which it has room anywhere.
    pub(crate) fn cheapest(&self) -> Option<u64> {
        self.0.iter().filter(|step| matches!(step.stand, Stand::Front { .. })).map(|step| step.rate).min()
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
