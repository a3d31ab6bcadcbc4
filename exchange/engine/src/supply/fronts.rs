//! What of a ladder has room, as the index of its market knows it: one front for all its rungs of one form.
//!
//! So a ladder that is quoted again is one entry less and one more. Owns the way from room to fronts; everything in it can be
//! computed from offers, pools and ladders.

use merit_terms::{MarketId, ProviderId};

use super::{OfferSlot, PoolSlot, Shelf};
use crate::supply::index::FormTerms;
use crate::supply::ladders::{Front, Ladders, Room, Step};

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

    /// Takes a rung out of its index, and the front of its form, until its ladder is arranged again.
    pub(super) fn orphan(&mut self, provider: ProviderId, ladders: &mut Ladders, step: &Step) {
        if step.room == Room::Closed {
            self.reopen(step);
        }
        let index = &mut self.markets[step.market.index()];
        if let Some(front) = ladders.take_front(step.market, step.form) {
            index.unrank(front.form, front.entry(provider));
        }
        index.live -= 1;
        index.orphan(step.form);
    }

    fn reopen(&mut self, step: &Step) {
        let Some(at) = self.offer(step.slot).map(|offer| offer.closed_at) else { return };
        let moved = self.markets[step.market.index()].reopen(at);
        if let Some(moved) = moved.and_then(|moved| self.offers[moved as usize].as_mut()) {
            moved.closed_at = at;
        }
    }

    /// Puts a provider's ladder in one market where it belongs by what has room.
    pub(super) fn arrange(&mut self, provider: ProviderId, market: MarketId) {
        let mut ladders = std::mem::take(&mut self.sellers[provider.index()].ladders);
        self.arrange_ladder(provider, &mut ladders, market);
        self.speeds.sell(provider, ladders.cheapest());
        self.sellers[provider.index()].ladders = ladders;
    }

    /// The same in all markets.
    pub(super) fn arrange_all(&mut self, provider: ProviderId) {
        let mut ladders = std::mem::take(&mut self.sellers[provider.index()].ladders);
        for market in ladders.markets() {
            self.arrange_ladder(provider, &mut ladders, market);
        }
        self.speeds.sell(provider, ladders.cheapest());
        self.sellers[provider.index()].ladders = ladders;
    }

    /// The same after the room of a pool changed.
    pub(super) fn arrange_pool(&mut self, pool: PoolSlot) {
        let pool = &mut self.pools[pool as usize];
        pool.any_closed = false;
        let provider = pool.provider;
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

    /// The fronts of one ladder of whose rungs it is known which have room.
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

    /// Looks whether a rung has room, and puts it among those without or takes it out of them.
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
            && let Some(offer) = self.offers[step.slot as usize].as_mut()
        {
            offer.closed_at = self.markets[step.market.index()].close(step.slot);
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
        let room = self.sellers[provider.index()].ladders.find(market, slot).map(|step| step.room);
        if self.has_room(slot, pool) != (room == Some(Room::Open)) {
            self.arrange(provider, market);
        }
    }
}
