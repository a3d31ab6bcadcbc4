//! The ladders of a provider: all its rungs in one list, cheapest first in each market, which a search reads in one go.
//!
//! Owns the list and the fronts of the rungs with room; never knows what an offer has leased.

use merit_terms::{MarketId, ProviderId};
use serde::{Deserialize, Serialize};

use super::index::RankedFront;
use super::pools::PoolSlot;
use crate::deadlines::OfferSlot;

/// A rung: its offer, and the facts that a search reads first.
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
    pub(crate) room: Room,
}

/// The room of a rung for the smallest call that it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Room {
    /// Not looked at since it was posted.
    #[default]
    Unseen,
    Closed,
    Open,
}

/// The rungs of one ladder and form that have room: one entry in the index of their market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Front {
    /// Cheapest rate.
    pub(crate) rate: u64,
    /// Earliest place.
    pub(crate) place: u64,
    /// Dearest rate.
    pub(crate) dearest: u64,
    pub(crate) market: MarketId,
    pub(crate) form: u32,
}

/// A provider's ladders in all markets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ladders {
    steps: Vec<Step>,
    /// By market.
    #[serde(skip)]
    fronts: Vec<Front>,
}

impl Front {
    /// Returns its entry in the index of its market.
    pub(crate) fn entry(&self, provider: ProviderId) -> RankedFront {
        RankedFront { rate: self.rate, place: self.place, dearest: self.dearest, provider }
    }
}

/// Returns the range of one market in a list in order of market.
fn range<T>(list: &[T], market: MarketId, of: impl Fn(&T) -> MarketId) -> std::ops::Range<usize> {
    let from = list.partition_point(|each| of(each) < market);
    from..from + list[from..].iter().take_while(|each| of(each) == market).count()
}

impl Ladders {
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(crate) fn all(&self) -> &[Step] {
        &self.steps
    }

    pub(crate) fn all_mut(&mut self) -> &mut [Step] {
        &mut self.steps
    }

    /// Returns the ladder in one market, cheapest rate first.
    pub(crate) fn of(&self, market: MarketId) -> &[Step] {
        &self.steps[range(&self.steps, market, |step| step.market)]
    }

    pub(crate) fn of_mut(&mut self, market: MarketId) -> &mut [Step] {
        let range = range(&self.steps, market, |step| step.market);
        &mut self.steps[range]
    }

    /// Finds the rung of an offer in one market.
    pub(crate) fn find(&self, market: MarketId, slot: OfferSlot) -> Option<&Step> {
        self.of(market).iter().find(|step| step.slot == slot)
    }

    /// Lists the markets with a ladder.
    pub(crate) fn markets(&self) -> Vec<MarketId> {
        self.steps.chunk_by(|one, other| one.market == other.market).map(|ladder| ladder[0].market).collect()
    }

    /// Returns the fronts of all ladders.
    pub(crate) fn fronts(&self) -> &[Front] {
        &self.fronts
    }

    pub(crate) fn fronts_of(&self, market: MarketId) -> &[Front] {
        &self.fronts[range(&self.fronts, market, |front| front.market)]
    }

    /// Replaces the fronts in `market`.
    pub(crate) fn set_fronts(&mut self, market: MarketId, fronts: Vec<Front>) {
        let range = range(&self.fronts, market, |front| front.market);
        self.fronts.splice(range, fronts);
    }

    /// Takes out the front of a form, if there is one.
    pub(crate) fn take_front(&mut self, market: MarketId, form: u32) -> Option<Front> {
        let at = self.fronts.iter().position(|front| (front.market, front.form) == (market, form))?;
        Some(self.fronts.remove(at))
    }

    /// Returns the cheapest rate with room in any market.
    pub(crate) fn cheapest(&self) -> Option<u64> {
        self.fronts.iter().map(|front| front.rate).min()
    }

    /// Replaces the ladder in `market`.
    pub(crate) fn replace(&mut self, market: MarketId, mut ladder: Vec<Step>) {
        ladder.sort_unstable_by_key(|step| (step.rate, step.slot));
        let range = range(&self.steps, market, |step| step.market);
        if range.len() == ladder.len() {
            self.steps[range].copy_from_slice(&ladder);
        } else {
            self.steps.splice(range, ladder);
        }
    }

    /// Takes out the rungs for which `goes` holds.
    pub(crate) fn take(&mut self, goes: impl Fn(&Step) -> bool) -> Vec<Step> {
        self.steps.extract_if(.., |step| goes(step)).collect()
    }
}
