//! Capacity: a match takes memory and one slot of an offer and its pool, and the end of its lease gives them back.

use merit_terms::{AccountId, MarketId, ProviderId, Tariff, Time};

use super::Shelf;
use crate::deadlines::OfferSlot;
use crate::event::Event;
use crate::turn::Turn;

impl Shelf {
    /// Takes memory and one slot for a match, which sends the provider's equal offers to the back.
    pub(crate) fn take(&mut self, turn: &mut Turn<'_>, slot: OfferSlot, account: AccountId, memory_mb: u32) {
        let sequence = turn.sequence;
        let Some(offer) = self.offer_mut(slot) else { return };
        offer.take(memory_mb, sequence);
        let (pool, provider, market, tariff) = (offer.pool, offer.provider, offer.market, offer.tariff);
        turn.tell(Event::OfferLeased { market, offer: offer.id, price: offer.price, leased_mb: offer.leased_mb });
        self.place_equals(provider, market, &tariff, sequence);
        let leased = &mut self.pools[pool.index()];
        leased.take(account, memory_mb);
        turn.tell(leased.event());
        if leased.may_lack_room() {
            self.arrange_pool(pool);
        } else {
            self.arrange(provider, market);
        }
    }

    /// Gives a provider's offers of one tariff in one market the same place.
    fn place_equals(&mut self, provider: ProviderId, market: MarketId, tariff: &Tariff, sequence: u64) {
        let rate = tariff.per_gb_second.picodollars();
        for sibling in self.sellers[provider.index()].ladders.of(market).iter().filter(|step| step.rate == rate) {
            if let Some(offer) = self.offers[sibling.slot.index()].as_mut().filter(|offer| offer.tariff == *tariff) {
                offer.place = sequence;
            }
        }
    }

    /// Enters a lease of a saved state in its pool's count by account.
    pub(crate) fn enter_lease(&mut self, slot: OfferSlot, account: AccountId) {
        if let Some(pool) = self.offer(slot).map(|offer| offer.pool) {
            self.pools[pool.index()].enter(account);
        }
    }

    /// Gives back the memory and the slot of a lease.
    pub(crate) fn give_back(&mut self, turn: &mut Turn<'_>, slot: OfferSlot, account: AccountId, memory_mb: u32) {
        let Some(offer) = self.offer_mut(slot) else { return };
        offer.give_back(memory_mb);
        let (pool, retired, gone) = (offer.pool, offer.retired, offer.retired && offer.leases == 0);
        if !retired {
            let (market, price) = (offer.market, offer.price);
            turn.tell(Event::OfferLeased { market, offer: offer.id, price, leased_mb: offer.leased_mb });
        }
        if gone {
            self.clear(slot);
        }
        let freed = &mut self.pools[pool.index()];
        freed.give_back(account, memory_mb);
        let provider = freed.provider();
        turn.tell(freed.event());
        if freed.any_closed() {
            self.arrange_pool(pool);
        } else if !retired {
            self.refresh(slot);
        }
        if self.end_shares(provider, turn.at) && self.watched {
            self.wake_offers(provider, |_| true);
        } else {
            self.wake_pool(pool);
        }
    }

    /// Looks again whether account shares apply at a provider. Returns true if they ended.
    fn end_shares(&mut self, provider: ProviderId, at: Time) -> bool {
        let seller = &mut self.sellers[provider.index()];
        let was_shared = std::mem::replace(&mut seller.shared, seller.health.serves_several(at));
        was_shared && !seller.shared
    }
}
