//! All rungs of a provider in one list, cheapest first in each market, so that a search reads them in one go.

use merit_terms::{MarketId, ProviderId};
use serde::{Deserialize, Serialize};

use crate::supply::index::Entry;
use crate::supply::{OfferSlot, PoolSlot};

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
    pub(crate) room: Room,
}

/// Whether a rung has room for the smallest call that it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Room {
    /// Nobody has looked since it was posted.
    #[default]
    Unseen,
    Closed,
    Open,
}

/// The rungs of one ladder and form that have room, as they are in the index of their market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Front {
    /// The cheapest rate.
    pub(crate) rate: u64,
    /// The earliest place.
    pub(crate) place: u64,
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
    pub(crate) fn entry(&self, provider: ProviderId) -> Entry {
        Entry { rate: self.rate, place: self.place, dearest: self.dearest, provider }
    }
}

/// The part of a list in order of market that is of one market.
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

    /// The ladder in one market, cheapest rate first.
    pub(crate) fn of(&self, market: MarketId) -> &[Step] {
        &self.steps[range(&self.steps, market, |step| step.market)]
    }

    pub(crate) fn of_mut(&mut self, market: MarketId) -> &mut [Step] {
        let range = range(&self.steps, market, |step| step.market);
        &mut self.steps[range]
    }

    /// The rung in one market whose offer is in `slot`.
    pub(crate) fn find(&self, market: MarketId, slot: OfferSlot) -> Option<&Step> {
        self.of(market).iter().find(|step| step.slot == slot)
    }

    /// Each market that it sells in.
    pub(crate) fn markets(&self) -> Vec<MarketId> {
        self.steps.chunk_by(|one, other| one.market == other.market).map(|ladder| ladder[0].market).collect()
    }

    /// What of it has room.
    pub(crate) fn fronts(&self) -> &[Front] {
        &self.fronts
    }

    pub(crate) fn fronts_of(&self, market: MarketId) -> &[Front] {
        &self.fronts[range(&self.fronts, market, |front| front.market)]
    }

    /// Puts `fronts` in place of those in `market`.
    pub(crate) fn set_fronts(&mut self, market: MarketId, fronts: Vec<Front>) {
        let range = range(&self.fronts, market, |front| front.market);
        self.fronts.splice(range, fronts);
    }

    /// Takes the front of a form out, if there is one.
    pub(crate) fn take_front(&mut self, market: MarketId, form: u32) -> Option<Front> {
        let at = self.fronts.iter().position(|front| (front.market, front.form) == (market, form))?;
        Some(self.fronts.remove(at))
    }

    /// The cheapest rate at which it has room anywhere.
    pub(crate) fn cheapest(&self) -> Option<u64> {
        self.fronts.iter().map(|front| front.rate).min()
    }

    /// Puts `ladder` in place of the one in `market`.
    pub(crate) fn replace(&mut self, market: MarketId, mut ladder: Vec<Step>) {
        ladder.sort_unstable_by_key(|step| (step.rate, step.slot));
        let range = range(&self.steps, market, |step| step.market);
        if range.len() == ladder.len() {
            self.steps[range].copy_from_slice(&ladder);
        } else {
            self.steps.splice(range, ladder);
        }
    }

    /// Takes out the rungs that `goes` says.
    pub(crate) fn take(&mut self, goes: impl Fn(&Step) -> bool) -> Vec<Step> {
        self.steps.extract_if(.., |step| goes(step)).collect()
    }
}
