//! Fronts: the rungs of a ladder with room, one entry in the index of its market for all rungs of one form.
//!
//! A ladder that is quoted again is one entry less and one more. Owns the way from room to fronts; everything in it is
//! computed from offers, pools and ladders.

use merit_terms::{MarketId, ProviderId};

use super::Shelf;
use super::index::FormTerms;
use super::ladders::{Front, Ladders, Room, Step};
use super::pools::PoolSlot;
use crate::deadlines::OfferSlot;

impl Shelf {
    /// Counts a live offer in its market and pool. Returns its form.
    pub(super) fn adopt(&mut self, slot: OfferSlot) -> u32 {
        let Some(offer) = self.offers[slot.index()].as_ref() else { return 0 };
        let index = &mut self.markets[offer.market.index()];
        let form = index.form(FormTerms::of(offer));
        index.adopt(form);
        self.pools[offer.pool.index()].adopt(offer.memory_min_mb);
        form
    }

    /// Takes a rung out of its index with the front of its form, until its ladder is arranged again.
    pub(super) fn orphan(&mut self, provider: ProviderId, ladders: &mut Ladders, step: &Step) {
        if step.room == Room::Closed {
            self.reopen(step);
        }
        let index = &mut self.markets[step.market.index()];
        if let Some(front) = ladders.take_front(step.market, step.form) {
            index.unrank(front.form, front.entry(provider));
        }
        index.orphan(step.form);
    }

    /// Takes a rung out of the offers without room.
    fn reopen(&mut self, step: &Step) {
        let Some(at) = self.offer(step.slot).map(|offer| offer.closed_at) else { return };
        let moved = self.markets[step.market.index()].reopen(at);
        if let Some(moved) = moved.and_then(|moved| self.offers[moved.index()].as_mut()) {
            moved.closed_at = at;
        }
    }

    /// Arranges a provider's ladder in one market: its fronts enter the index by the rungs that have room.
    pub(super) fn arrange(&mut self, provider: ProviderId, market: MarketId) {
        let mut ladders = std::mem::take(&mut self.sellers[provider.index()].ladders);
        self.arrange_ladder(provider, &mut ladders, market);
        self.speeds.sell(provider, ladders.cheapest());
        self.sellers[provider.index()].ladders = ladders;
    }

    /// Arranges a provider's ladders in all markets.
    pub(super) fn arrange_all(&mut self, provider: ProviderId) {
        let mut ladders = std::mem::take(&mut self.sellers[provider.index()].ladders);
        for market in ladders.markets() {
            self.arrange_ladder(provider, &mut ladders, market);
        }
        self.speeds.sell(provider, ladders.cheapest());
        self.sellers[provider.index()].ladders = ladders;
    }

    /// Arranges the ladders of a pool's provider after its room changed.
    pub(super) fn arrange_pool(&mut self, pool: PoolSlot) {
        let pool = &mut self.pools[pool.index()];
        pool.look_again();
        let provider = pool.provider();
        self.arrange_all(provider);
    }

    fn arrange_ladder(&mut self, provider: ProviderId, ladders: &mut Ladders, market: MarketId) {
        for step in ladders.of_mut(market) {
            self.look(step);
        }
        let after = self.fronts(ladders.of(market));
        let before = ladders.fronts_of(market);
        if before == after {
            return;
        }
        let index = &mut self.markets[market.index()];
        for gone in before.iter().filter(|front| !after.contains(front)) {
            index.unrank(gone.form, gone.entry(provider));
        }
        for new in after.iter().filter(|front| !before.contains(front)) {
            index.rank(new.form, new.entry(provider));
        }
        ladders.set_fronts(market, after);
    }

    /// Returns the fronts of one ladder whose rungs have been looked at.
    fn fronts(&self, ladder: &[Step]) -> Vec<Front> {
        let mut fronts: Vec<Front> = Vec::with_capacity(1);
        for Step { rate, market, form, slot, .. } in ladder.iter().filter(|step| step.room == Room::Open).copied() {
            let place = self.offer(slot).map_or(u64::MAX, |offer| offer.place);
            match fronts.iter_mut().find(|front| front.form == form) {
                Some(front) => (front.place, front.dearest) = (front.place.min(place), rate),
                None => fronts.push(Front { rate, place, dearest: rate, market, form }),
            }
        }
        fronts
    }

    /// Looks whether a rung has room, and moves it between those with and without.
    fn look(&mut self, step: &mut Step) {
        let room = if self.has_room(step.slot, step.pool) { Room::Open } else { Room::Closed };
        let before = std::mem::replace(&mut step.room, room);
        if before == room {
            return;
        }
        if before == Room::Closed {
            self.reopen(step);
        }
        if room == Room::Closed
            && let Some(offer) = self.offers[step.slot.index()].as_mut()
        {
            offer.closed_at = self.markets[step.market.index()].close(step.slot);
        }
    }

    /// Returns whether an offer has room for the smallest call that it takes.
    fn has_room(&mut self, slot: OfferSlot, pool: PoolSlot) -> bool {
        let Some(offer) = self.offers[slot.index()].as_ref() else { return false };
        self.pools[pool.index()].has_room_for(offer.memory_min_mb) && offer.has_room()
    }

    /// Looks at one offer after it gave memory back.
    pub(super) fn refresh(&mut self, slot: OfferSlot) {
        let Some(offer) = self.offer(slot) else { return };
        let (provider, market, pool) = (offer.provider, offer.market, offer.pool);
        let room = self.sellers[provider.index()].ladders.find(market, slot).map(|step| step.room);
        if self.has_room(slot, pool) != (room == Some(Room::Open)) {
            self.arrange(provider, market);
        }
    }
}
