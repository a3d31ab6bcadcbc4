//! Where rungs stand in the index of their market: closed, at the front of their ladder and form, or behind the front.
//!
//! The index holds fronts only, so that a ladder that is quoted again is one entry less and one more. Owns the way from room
//! to stands; everything in it can be computed from offers, pools and ladders.

use merit_terms::{MarketId, ProviderId};

use super::{OfferSlot, PoolSlot, Shelf};
use crate::index::FormTerms;
use crate::ladders::{Stand, Step};

impl Shelf {
    /// Counts a live offer in its market and pool; its form.
    pub(super) fn adopt(&mut self, slot: OfferSlot) -> u32 {
        let Some(offer) = self.offers[slot as usize].as_ref() else { return 0 };
        let index = &mut self.markets[offer.market.index()];
        let form = index.form(FormTerms::of(offer));
        index.adopt(form);
        index.live += 1;
        let pool = &mut self.pools[offer.pool as usize];
        pool.most_min_mb = pool.most_min_mb.max(offer.memory_min_mb);
        form
    }

    /// Takes a rung out of its index.
    pub(super) fn orphan(&mut self, step: &Step) {
        self.unstand(step);
        let index = &mut self.markets[step.market.index()];
        index.live -= 1;
        index.orphan(step.form);
    }

    fn unstand(&mut self, step: &Step) {
        let Some(offer) = self.offers[step.slot as usize].as_ref() else { return };
        let index = &mut self.markets[step.market.index()];
        match step.stand {
            Stand::Nowhere | Stand::Behind => {}
            Stand::Front { .. } => {
                if let Some(entry) = step.entry(offer.provider.number()) {
                    index.unrank(step.form, entry);
                }
            }
            Stand::Closed => {
                let at = offer.closed_at;
                let moved = index.reopen(at);
                if let Some(moved) = moved.and_then(|moved| self.offers[moved as usize].as_mut()) {
                    moved.closed_at = at;
                }
            }
        }
    }

    fn stand(&mut self, step: &mut Step, stand: Stand) {
        if step.stand == stand {
            return;
        }
        self.unstand(step);
        step.stand = stand;
        let Some(offer) = self.offers[step.slot as usize].as_mut() else { return };
        let index = &mut self.markets[step.market.index()];
        if let Some(entry) = step.entry(offer.provider.number()) {
            index.rank(step.form, entry);
        } else if stand == Stand::Closed {
            offer.closed_at = index.close(step.slot);
        }
    }

    /// Puts every rung of a provider's ladder in one market where it belongs by whether it has room.
    pub(super) fn arrange(&mut self, provider: ProviderId, market: MarketId) {
        let mut ladders = std::mem::take(&mut self.sellers[provider.index()].ladders);
        self.arrange_ladder(ladders.of_mut(market));
        self.scores.sell(provider, ladders.cheapest());
        self.sellers[provider.index()].ladders = ladders;
    }

    /// The same in all markets.
    pub(super) fn arrange_all(&mut self, provider: ProviderId) {
        let mut ladders = std::mem::take(&mut self.sellers[provider.index()].ladders);
        ladders.each_mut().for_each(|ladder| self.arrange_ladder(ladder));
        self.scores.sell(provider, ladders.cheapest());
        self.sellers[provider.index()].ladders = ladders;
    }

    /// The same after the room of a pool changed.
    pub(super) fn arrange_pool(&mut self, pool: PoolSlot) {
        let pool = &mut self.pools[pool as usize];
        pool.any_closed = false;
        let provider = pool.provider;
        self.arrange_all(provider);
    }

    fn arrange_ladder(&mut self, ladder: &mut [Step]) {
        for step in ladder.iter_mut() {
            let open = self.has_room(step.slot, step.pool);
            if open != step.is_open() || step.stand == Stand::Nowhere {
                self.stand(step, if open { Stand::Behind } else { Stand::Closed });
            }
        }
        for i in 0..ladder.len() {
            let stand = self.stand_of(ladder, i);
            self.stand(&mut ladder[i], stand);
        }
    }

    /// How the `i`-th rung of a ladder stands of whose rungs it is known which have room.
    fn stand_of(&self, ladder: &[Step], i: usize) -> Stand {
        let form = ladder[i].form;
        let is_alike = |other: &&Step| other.form == form && other.is_open();
        if !ladder[i].is_open() {
            Stand::Closed
        } else if ladder[..i].iter().any(|other| is_alike(&other)) {
            Stand::Behind
        } else {
            let alike = ladder[i..].iter().filter(is_alike);
            let places = alike.clone().filter_map(|other| Some(self.offer(other.slot)?.place));
            let dearest = alike.last().map_or(ladder[i].rate, |last| last.rate);
            Stand::Front { place: places.min().unwrap_or(u64::MAX), dearest }
        }
    }

    /// Whether an offer has room for the smallest call that it takes.
    fn has_room(&mut self, slot: OfferSlot, pool: PoolSlot) -> bool {
        let Some(offer) = self.offers[slot as usize].as_ref() else { return false };
        let pool = &mut self.pools[pool as usize];
        let least_mb = u64::from(offer.memory_min_mb);
        let pool_has_room = pool.free_mb() >= least_mb;
        pool.any_closed |= !pool_has_room;
        pool_has_room && offer.capacity_mb >= offer.leased_mb + least_mb
    }

    /// Looks at one offer after what is leased of it became less.
    pub(super) fn refresh(&mut self, slot: OfferSlot) {
        let Some(offer) = self.offer(slot) else { return };
        let (provider, market, pool) = (offer.provider, offer.market, offer.pool);
        let was_open = self.sellers[provider.index()].ladders.find(market, slot).is_some_and(Step::is_open);
        if self.has_room(slot, pool) != was_open {
            self.arrange(provider, market);
        }
    }
}
