//! Offers and pools: what can be bought now, and from what capacity.
//!
//! free = min(offer's capacity - leased on it, pool - all leases of the pool), never below 0, so that the same
//! memory listed in several markets and rungs is sold once. Never ranks and never moves money. How a ladder takes the place
//! of another is `quoting`; what a provider states of its pools is `pools`; what of it a search walks through is `fronts`.

mod fronts;
pub(crate) mod health;
pub(crate) mod index;
pub(crate) mod ladders;
pub(crate) mod plain_book;
mod pools;
pub(crate) mod quotas;
mod quoting;
mod sessions;
pub(crate) mod speeds;

use std::collections::BTreeMap;

use merit_terms::{AccountId, MarketId, OfferId, PoolSize, Price, ProviderId, Tariff, Time};
use serde::{Deserialize, Serialize};

use crate::dues::{Due, Dues};
use crate::event::{Event, OfferChange};
use crate::market::Registry;
use crate::supply::index::Index;
use crate::supply::ladders::{Ladders, Step};
use crate::supply::speeds::Speeds;
pub(crate) use pools::check_pools;
pub(crate) use quoting::{Counter, postings};

/// Where an offer is kept; not part of the state's meaning.
pub(crate) type OfferSlot = u32;
/// Where a pool is kept; not part of the state's meaning.
pub(crate) type PoolSlot = u32;

/// One rung as it was posted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Offer {
    pub(crate) id: OfferId,
    pub(crate) provider: ProviderId,
    pub(crate) market: MarketId,
    pub(crate) pool: PoolSlot,
    /// The provider's number for it.
    pub(crate) rung: u32,
    pub(crate) tariff: Tariff,
    pub(crate) vcpus_milli: u32,
    pub(crate) memory_min_mb: u32,
    pub(crate) memory_max_mb: u32,
    pub(crate) longest_ms: u32,
    pub(crate) price: Price,
    pub(crate) capacity_mb: u64,
    pub(crate) leased_mb: u64,
    pub(crate) leases: u32,
    /// Which of the provider's quotas it draws on.
    pub(crate) quota: Option<u32>,
    /// The sequence of its last match or posting: who waited longest goes first among equals.
    pub(crate) place: u64,
    /// When it leaves the book by itself.
    pub(crate) expires: Option<Time>,
    pub(crate) extras: Option<Box<Extras>>,
    pub(crate) enforces_timeout: bool,
    /// No longer in a ladder: sells nothing more, and goes when its leases have.
    pub(crate) retired: bool,
    /// Where it is among those without room, if it is.
    #[serde(skip)]
    closed_at: u32,
}

/// What few offers have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extras {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) audience: Vec<AccountId>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pool {
    pub(crate) provider: ProviderId,
    pub(crate) index: u32,
    /// What the provider stated, or less since it was busy.
    pub(crate) size: PoolSize,
    pub(crate) leased_mb: u64,
    pub(crate) leases: u32,
    /// Whether any live offer on it has no room because of the pool.
    #[serde(skip)]
    any_closed: bool,
    /// At least the greatest least memory of any of them.
    #[serde(skip)]
    most_min_mb: u32,
}

/// What a provider sells, and from what.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seller {
    /// In the order of its logon.
    pub(crate) pools: Vec<PoolSlot>,
    pub(crate) ladders: Ladders,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shelf {
    pub(crate) offers: Vec<Option<Offer>>,
    free_slots: Vec<OfferSlot>,
    pub(crate) pools: Vec<Pool>,
    /// By provider.
    pub(crate) sellers: Vec<Seller>,
    last_offer: u64,
    #[serde(skip)]
    pub(crate) markets: Vec<Index>,
    #[serde(skip)]
    pub(crate) speeds: Speeds,
    /// Whether bids rest that more supply may serve.
    #[serde(skip)]
    pub(crate) watched: bool,
    /// Where there is more supply than before, and at what price, since somebody looked.
    #[serde(skip)]
    pub(crate) woken: Vec<(MarketId, Price)>,
}

impl Offer {
    pub(crate) fn audience(&self) -> &[AccountId] {
        self.extras.as_ref().map_or(&[], |extras| &extras.audience)
    }

    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.extras.as_ref().map(|extras| &extras.labels)
    }
}

impl Pool {
    /// Memory that one more lease could take; 0 without a free slot.
    pub(crate) fn free_mb(&self) -> u64 {
        if self.leases >= self.size.slots { 0 } else { self.size.memory_mb.saturating_sub(self.leased_mb) }
    }

    fn event(&self) -> Event {
        Event::Pool { provider: self.provider, pool: self.index, free_mb: self.free_mb() }
    }
}

impl Shelf {
    /// The number of the offer posted last; 0 before the first.
    pub(crate) fn last_offer(&self) -> u64 {
        self.last_offer
    }

    /// The live or retired offer in `slot`. A slot held by a ladder or a lease is always filled.
    pub(crate) fn offer(&self, slot: OfferSlot) -> Option<&Offer> {
        self.offers.get(slot as usize)?.as_ref()
    }

    fn offer_mut(&mut self, slot: OfferSlot) -> Option<&mut Offer> {
        self.offers.get_mut(slot as usize)?.as_mut()
    }

    /// Memory that one more invocation could take now; 0 without a free slot.
    pub(crate) fn free_mb(&self, offer: &Offer) -> u64 {
        if offer.retired {
            return 0;
        }
        offer.capacity_mb.saturating_sub(offer.leased_mb).min(self.pools[offer.pool as usize].free_mb())
    }

    pub(crate) fn change(&self, offer: &Offer) -> OfferChange {
        OfferChange {
            market: offer.market,
            offer: offer.id,
            provider: offer.provider,
            pool: self.pools[offer.pool as usize].index,
            price: offer.price,
            capacity_mb: offer.capacity_mb,
            leased_mb: offer.leased_mb,
            free_mb: self.free_mb(offer),
            tariff: offer.tariff,
        }
    }

    fn show(&self, slot: OfferSlot, events: &mut Vec<Event>) {
        if let Some(offer) = self.offer(slot) {
            events.push(Event::Offer(self.change(offer)));
        }
    }

    /// Builds what can be computed from offers and ladders.
    pub(crate) fn rebuild(&mut self, registry: &Registry) {
        self.markets = vec![Index::default(); registry.markets.len()];
        for (id, provider) in (0..).map(ProviderId::new).zip(&registry.providers) {
            let mut ladders = std::mem::take(&mut self.sellers[id.index()].ladders);
            for step in ladders.all_mut() {
                step.form = self.adopt(step.slot);
            }
            self.sellers[id.index()].ladders = ladders;
            self.speeds.compare(id, provider.general_ratio);
            self.arrange_all(id);
        }
    }

    /// Takes memory and one slot for a match at `sequence`, which sends the provider's equal offers to the back.
    pub(crate) fn take(&mut self, slot: OfferSlot, memory_mb: u32, sequence: u64, events: &mut Vec<Event>) {
        let Some(offer) = self.offer_mut(slot) else { return };
        offer.leased_mb += u64::from(memory_mb);
        offer.leases += 1;
        offer.place = sequence;
        let (pool, provider, market, tariff) = (offer.pool, offer.provider, offer.market, offer.tariff);
        events.push(Event::OfferLeased { market, offer: offer.id, price: offer.price, leased_mb: offer.leased_mb });
        let rate = tariff.per_gb_second.picodollars();
        for sibling in self.sellers[provider.index()].ladders.of(market).iter().filter(|step| step.rate == rate) {
            if let Some(offer) = self.offers[sibling.slot as usize].as_mut().filter(|offer| offer.tariff == tariff) {
                offer.place = sequence;
            }
        }
        let pool_of = &mut self.pools[pool as usize];
        pool_of.leased_mb += u64::from(memory_mb);
        pool_of.leases += 1;
        events.push(pool_of.event());
        if pool_of.free_mb() < pool_of.most_min_mb.into() {
            self.arrange_pool(pool);
        } else {
            self.arrange(provider, market);
        }
    }

    /// Returns what [`Shelf::take`] took.
    pub(crate) fn give_back(&mut self, slot: OfferSlot, memory_mb: u32, events: &mut Vec<Event>) {
        let Some(offer) = self.offer_mut(slot) else { return };
        offer.leased_mb -= u64::from(memory_mb);
        offer.leases -= 1;
        let (pool, retired, gone) = (offer.pool, offer.retired, offer.retired && offer.leases == 0);
        if !retired {
            let (market, price) = (offer.market, offer.price);
            events.push(Event::OfferLeased { market, offer: offer.id, price, leased_mb: offer.leased_mb });
        }
        if gone {
            self.clear(slot);
        }
        let pool_of = &mut self.pools[pool as usize];
        pool_of.leased_mb -= u64::from(memory_mb);
        pool_of.leases -= 1;
        events.push(pool_of.event());
        if pool_of.any_closed {
            self.arrange_pool(pool);
        } else if !retired {
            self.refresh(slot);
        }
        self.wake_pool(pool);
    }

    /// Notes that every live offer of the pool may have more to sell.
    fn wake_pool(&mut self, pool: PoolSlot) {
        if self.watched {
            self.wake_offers(self.pools[pool as usize].provider, |offer| offer.pool == pool);
        }
    }

    /// Notes that those of a provider's live offers that are meant may be bought again.
    pub(crate) fn wake_offers(&mut self, provider: ProviderId, meant: impl Fn(&Offer) -> bool) {
        let steps = self.sellers[provider.index()].ladders.all().iter();
        let offers = steps.filter_map(|step| self.offers[step.slot as usize].as_ref()).filter(|offer| meant(offer));
        self.woken.extend(offers.map(|offer| (offer.market, offer.price)));
    }

    fn clear(&mut self, slot: OfferSlot) {
        self.offers[slot as usize] = None;
        self.free_slots.push(slot);
    }

    fn post(&mut self, offer: Offer) -> OfferSlot {
        match self.free_slots.pop() {
            Some(slot) => {
                self.offers[slot as usize] = Some(offer);
                slot
            }
            None => {
                self.offers.push(Some(offer));
                (self.offers.len() - 1) as OfferSlot
            }
        }
    }

    /// Takes the offer of a rung out of its book; it stays until its leases are gone.
    fn retire(
        &mut self,
        provider: ProviderId,
        ladders: &mut Ladders,
        step: &Step,
        dues: &mut Dues,
        events: &mut Vec<Event>,
    ) {
        self.orphan(provider, ladders, step);
        let slot = step.slot;
        let Some(offer) = self.offer_mut(slot) else { return };
        offer.retired = true;
        let (leases, id) = (offer.leases, offer.id);
        events.push(Event::OfferGone { market: offer.market, offer: id, provider: offer.provider, price: offer.price });
        if let Some(expires) = offer.expires {
            dues.remove(&(expires, Due::Offer(id, slot)));
        }
        if leases == 0 {
            self.clear(slot);
        }
    }

    /// Retires one offer of a ladder, when it expires.
    pub(crate) fn expire(&mut self, slot: OfferSlot, dues: &mut Dues, events: &mut Vec<Event>) {
        if let Some(provider) = self.offer(slot).map(|offer| offer.provider) {
            self.retire_where(provider, |step, _| step.slot == slot, dues, events);
        }
    }

    /// Retires every offer of a provider that `goes`.
    pub(crate) fn cancel(
        &mut self,
        provider: ProviderId,
        goes: impl Fn(&Offer) -> bool,
        dues: &mut Dues,
        events: &mut Vec<Event>,
    ) {
        self.retire_where(provider, |_, offer| goes(offer), dues, events);
    }

    fn retire_where(
        &mut self,
        provider: ProviderId,
        goes: impl Fn(&Step, &Offer) -> bool,
        dues: &mut Dues,
        events: &mut Vec<Event>,
    ) {
        let mut ladders = std::mem::take(&mut self.sellers[provider.index()].ladders);
        for step in ladders.take(|step| self.offer(step.slot).is_none_or(|offer| goes(step, offer))) {
            self.retire(provider, &mut ladders, &step, dues, events);
        }
        self.sellers[provider.index()].ladders = ladders;
        self.arrange_all(provider);
    }
}
