//! Offers, ladders and pools: what can be bought now, and from what capacity.
//!
//! free = min(offer's capacity - leased on it, pool - all leases of the pool), never below 0, so that the same
//! memory listed in several markets and rungs is sold once. Never ranks and never moves money.

use merit_terms::{MarketId, OfferId, PoolSize, Price, ProviderId, Refusal, Rung};

use crate::command::Quote;
use crate::event::{Event, OfferChange};
use crate::registry::Registry;

/// Where an offer is kept; not part of the state's meaning.
pub(crate) type OfferSlot = u32;
/// Where a pool is kept; not part of the state's meaning.
pub(crate) type PoolSlot = u32;

/// One rung as it was posted.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Offer {
    pub(crate) id: OfferId,
    pub(crate) provider: ProviderId,
    pub(crate) market: MarketId,
    pub(crate) pool: PoolSlot,
    pub(crate) rung: Rung,
    pub(crate) price: Price,
    pub(crate) leased_mb: u64,
    pub(crate) leases: u32,
    /// The sequence of its last match or posting: who waited longest goes first among equals.
    pub(crate) place: u64,
    /// No longer in a ladder: sells nothing more, and goes when its leases have.
    pub(crate) retired: bool,
    /// The free capacity last told to the book's readers.
    shown_free_mb: u64,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Pool {
    pub(crate) provider: ProviderId,
    pub(crate) index: u32,
    /// What the provider stated, or less since it was busy.
    pub(crate) size: PoolSize,
    pub(crate) leased_mb: u64,
    pub(crate) leases: u32,
    /// Live offers on it.
    offers: Vec<OfferSlot>,
}

#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Shelf {
    pub(crate) offers: Vec<Option<Offer>>,
    free_slots: Vec<OfferSlot>,
    pub(crate) pools: Vec<Pool>,
    last_offer: u64,
}

const RUNGS_MAX: usize = 64;
const POOLS_MAX: usize = 64;

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
        let pool = &self.pools[offer.pool as usize];
        if offer.retired || pool.leases >= pool.size.slots {
            return 0;
        }
        let on_rung = offer.rung.capacity_mb.saturating_sub(offer.leased_mb);
        on_rung.min(pool.size.memory_mb.saturating_sub(pool.leased_mb))
    }

    pub(crate) fn change(&self, offer: &Offer, gone: bool) -> OfferChange {
        OfferChange {
            market: offer.market,
            offer: offer.id,
            provider: offer.provider,
            pool: self.pools[offer.pool as usize].index,
            price: offer.price,
            leased_mb: offer.leased_mb,
            capacity_mb: if gone { 0 } else { offer.rung.capacity_mb },
            free_mb: if gone { 0 } else { self.free_mb(offer) },
            tariff: offer.rung.tariff,
        }
    }

    /// Tells the book's readers of every offer of the pool whose free capacity is not what they know.
    fn show_pool(&mut self, pool: PoolSlot, events: &mut Vec<Event>) {
        for i in 0..self.pools[pool as usize].offers.len() {
            let slot = self.pools[pool as usize].offers[i];
            let Some(free_mb) = self.offer(slot).map(|offer| self.free_mb(offer)) else {
                continue;
            };
            let Some(offer) = self.offer_mut(slot).filter(|offer| offer.shown_free_mb != free_mb) else {
                continue;
            };
            offer.shown_free_mb = free_mb;
            if let Some(offer) = self.offer(slot) {
                events.push(Event::Offer(self.change(offer, false)));
            }
        }
    }

    fn show(&mut self, slot: OfferSlot, events: &mut Vec<Event>) {
        let Some(free_mb) = self.offer(slot).map(|offer| self.free_mb(offer)) else {
            return;
        };
        if let Some(offer) = self.offer_mut(slot) {
            offer.shown_free_mb = free_mb;
        }
        if let Some(offer) = self.offer(slot) {
            events.push(Event::Offer(self.change(offer, false)));
        }
    }

    /// Takes memory and one slot for a match at `sequence`, which sends the provider's equal offers to the back.
    pub(crate) fn take(
        &mut self,
        slot: OfferSlot,
        memory_mb: u32,
        sequence: u64,
        registry: &Registry,
        events: &mut Vec<Event>,
    ) {
        let Some(offer) = self.offer_mut(slot) else { return };
        offer.leased_mb += u64::from(memory_mb);
        offer.leases += 1;
        let (pool, provider, market, tariff) = (offer.pool, offer.provider, offer.market, offer.rung.tariff);
        let ladder = registry.providers[provider.index()].ladders.get(&market);
        for sibling in ladder.into_iter().flatten() {
            if let Some(offer) = self.offer_mut(*sibling).filter(|offer| offer.rung.tariff == tariff) {
                offer.place = sequence;
            }
        }
        let pool_of = &mut self.pools[pool as usize];
        pool_of.leased_mb += u64::from(memory_mb);
        pool_of.leases += 1;
        self.show_pool(pool, events);
    }

    /// Returns what [`Shelf::take`] took.
    pub(crate) fn give_back(&mut self, slot: OfferSlot, memory_mb: u32, events: &mut Vec<Event>) {
        let Some(offer) = self.offer_mut(slot) else { return };
        offer.leased_mb -= u64::from(memory_mb);
        offer.leases -= 1;
        let (pool, gone) = (offer.pool, offer.retired && offer.leases == 0);
        if gone {
            self.clear(slot);
        }
        let pool_of = &mut self.pools[pool as usize];
        pool_of.leased_mb -= u64::from(memory_mb);
        pool_of.leases -= 1;
        self.show_pool(pool, events);
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

    /// Takes an offer out of its book and pool; it stays until its leases are gone.
    fn retire(&mut self, slot: OfferSlot, registry: &mut Registry, events: &mut Vec<Event>) {
        let Some(offer) = self.offer_mut(slot) else { return };
        offer.retired = true;
        let (pool, market, leases) = (offer.pool, offer.market, offer.leases);
        self.pools[pool as usize].offers.retain(|other| *other != slot);
        registry.markets[market.index()].book.retain(|other| *other != slot);
        if let Some(offer) = self.offer(slot) {
            events.push(Event::Offer(self.change(offer, true)));
        }
        if leases == 0 {
            self.clear(slot);
        }
    }

    /// Retires every offer of a provider.
    pub(crate) fn cancel_all(&mut self, provider: ProviderId, registry: &mut Registry, events: &mut Vec<Event>) {
        let ladders = std::mem::take(&mut registry.providers[provider.index()].ladders);
        for slot in ladders.into_values().flatten() {
            self.retire(slot, registry, events);
        }
    }

    /// Sets a provider's pools to what it states; leases on them stay.
    pub(crate) fn state_pools(
        &mut self,
        provider: ProviderId,
        sizes: &[PoolSize],
        registry: &mut Registry,
        events: &mut Vec<Event>,
    ) {
        let slots = &mut registry.providers[provider.index()].pools;
        while slots.len() < sizes.len() {
            slots.push(self.pools.len() as PoolSlot);
            self.pools.push(Pool {
                provider,
                index: (slots.len() - 1) as u32,
                size: PoolSize { memory_mb: 0, slots: 0 },
                leased_mb: 0,
                leases: 0,
                offers: Vec::new(),
            });
        }
        let nothing = PoolSize { memory_mb: 0, slots: 0 };
        for (index, slot) in registry.providers[provider.index()].pools.clone().into_iter().enumerate() {
            self.pools[slot as usize].size = sizes.get(index).copied().unwrap_or(nothing);
            self.show_pool(slot, events);
        }
    }

    /// Lowers a pool to what runs in it now.
    pub(crate) fn busy(&mut self, pool: PoolSlot, events: &mut Vec<Event>) {
        let pool_of = &mut self.pools[pool as usize];
        pool_of.size.memory_mb = pool_of.size.memory_mb.min(pool_of.leased_mb);
        pool_of.size.slots = pool_of.size.slots.min(pool_of.leases);
        self.show_pool(pool, events);
    }

    /// Replaces a provider's ladder in one market; the quote has been checked.
    pub(crate) fn replace_ladder(
        &mut self,
        quote: &Quote,
        sequence: u64,
        registry: &mut Registry,
        events: &mut Vec<Event>,
    ) {
        let pools = registry.providers[quote.provider.index()].pools.clone();
        let old = registry.providers[quote.provider.index()].ladders.remove(&quote.market).unwrap_or_default();
        let kept_by = |shelf: &Shelf, rung: &Rung| {
            old.iter().copied().find(|slot| shelf.offer(*slot).is_some_and(|offer| is_same_offer(&offer.rung, rung)))
        };
        let kept: Vec<Option<OfferSlot>> = quote.rungs.iter().map(|rung| kept_by(self, rung)).collect();
        for slot in old.iter().filter(|slot| !kept.contains(&Some(**slot))) {
            self.retire(*slot, registry, events);
        }
        let mut ladder = Vec::with_capacity(quote.rungs.len());
        for (rung, kept) in quote.rungs.iter().zip(kept) {
            let slot = match kept {
                Some(slot) => {
                    self.requote(slot, rung, sequence, events);
                    slot
                }
                None => {
                    let pool = pools[rung.pool as usize];
                    self.post_rung(quote, rung, pool, sequence, registry, events)
                }
            };
            ladder.push(slot);
        }
        self.share_places(&ladder);
        if !ladder.is_empty() {
            registry.providers[quote.provider.index()].ladders.insert(quote.market, ladder);
        }
    }

    fn requote(&mut self, slot: OfferSlot, rung: &Rung, sequence: u64, events: &mut Vec<Event>) {
        let Some(offer) = self.offer_mut(slot).filter(|offer| offer.rung != *rung) else {
            return;
        };
        offer.rung = rung.clone();
        offer.place = sequence;
        self.show(slot, events);
    }

    fn post_rung(
        &mut self,
        quote: &Quote,
        rung: &Rung,
        pool: PoolSlot,
        sequence: u64,
        registry: &mut Registry,
        events: &mut Vec<Event>,
    ) -> OfferSlot {
        self.last_offer += 1;
        let (id, price) = (OfferId(self.last_offer), rung.tariff.reference_price());
        let slot = self.post(Offer {
            id,
            provider: quote.provider,
            market: quote.market,
            pool,
            rung: rung.clone(),
            price,
            leased_mb: 0,
            leases: 0,
            place: sequence,
            retired: false,
            shown_free_mb: 0,
        });
        self.pools[pool as usize].offers.push(slot);
        let book = &mut registry.markets[quote.market.index()].book;
        let at = book.partition_point(|other| {
            self.offers[*other as usize].as_ref().is_some_and(|offer| (offer.price, offer.id) < (price, id))
        });
        book.insert(at, slot);
        self.show(slot, events);
        slot
    }

    /// Rungs of one ladder with one tariff tie for every bid, and so share one place: the latest.
    fn share_places(&mut self, ladder: &[OfferSlot]) {
        for slot in ladder {
            let Some(tariff) = self.offer(*slot).map(|offer| offer.rung.tariff) else {
                continue;
            };
            let same = |shelf: &Shelf, other: OfferSlot| {
                shelf.offer(other).filter(|offer| offer.rung.tariff == tariff).map(|offer| offer.place)
            };
            let latest = ladder.iter().filter_map(|other| same(self, *other)).max();
            if let (Some(offer), Some(latest)) = (self.offer_mut(*slot), latest) {
                offer.place = latest;
            }
        }
    }
}

/// Whether a quoted rung is the posted one, perhaps of another size: it keeps its leases and its id.
fn is_same_offer(posted: &Rung, quoted: &Rung) -> bool {
    posted.id == quoted.id && posted.tariff == quoted.tariff && posted.pool == quoted.pool
}

/// Refuses pools that are too many or out of bounds.
pub(crate) fn check_pools(pools: &[PoolSize]) -> Result<(), Refusal> {
    let invalid = |field: String, message: String| Err(Refusal::Invalid { field, message });
    if pools.is_empty() || pools.len() > POOLS_MAX {
        return invalid("pools".to_owned(), format!("{} pools; 1 to {POOLS_MAX}", pools.len()));
    }
    for (i, pool) in pools.iter().enumerate() {
        if pool.memory_mb > PoolSize::MAX_MEMORY_MB {
            let message = format!("{} MB; at most {}", pool.memory_mb, PoolSize::MAX_MEMORY_MB);
            return invalid(format!("pools[{i}].memory_mb"), message);
        }
        if pool.slots > PoolSize::MAX_SLOTS {
            return invalid(format!("pools[{i}].slots"), format!("{}; at most {}", pool.slots, PoolSize::MAX_SLOTS));
        }
    }
    Ok(())
}

/// Refuses a ladder with any rung out of bounds, naming each.
pub(crate) fn check_ladder(quote: &Quote, pools: usize) -> Result<(), Refusal> {
    if quote.rungs.len() > RUNGS_MAX {
        let message = format!("{} rungs; at most {RUNGS_MAX}", quote.rungs.len());
        return Err(Refusal::Invalid { field: "rungs".to_owned(), message });
    }
    let mut rungs = Vec::new();
    for (i, rung) in quote.rungs.iter().enumerate() {
        if let Err(error) = rung.check() {
            rungs.push((rung.id, error.to_string()));
        } else if rung.pool as usize >= pools {
            rungs.push((rung.id, format!("there is no pool {}; the logon stated {pools}", rung.pool)));
        } else if quote.rungs[..i].iter().any(|other| other.id == rung.id) {
            rungs.push((rung.id, "the rung's id stands twice in the ladder".to_owned()));
        }
    }
    if rungs.is_empty() { Ok(()) } else { Err(Refusal::Rungs { rungs }) }
}
