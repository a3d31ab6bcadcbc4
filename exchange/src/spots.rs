//! Spot prices: of each market, the reference price of the cheapest public offer with room for the reference call.
//!
//! The next unit of demand pays it, whatever function was called last. Follows the same events as the books, command by
//! command. A change of a pool costs a look at its offers only where it begins or ceases to have room.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use merit_engine::{Engine, Event, MarketState, MarketTerms, OfferChange};
use merit_terms::{MarketId, OfferId, Price, ProviderId, Tariff};

/// A pool of a provider, by its index.
pub(crate) type PoolKey = (ProviderId, u32);

/// Memory of the reference call.
const REFERENCE_MB: u64 = Tariff::REFERENCE_MEMORY_MB as u64;

/// The spot price of a market after a command that traded there or changed it; none if no offer has room.
pub(crate) type Spot = (MarketId, Option<Price>);

#[derive(Debug, Default)]
pub(crate) struct Spots {
    markets: BTreeMap<MarketId, SpotMarket>,
    offers: HashMap<OfferId, SpotOffer>,
    pools: HashMap<PoolKey, SpotPool>,
    /// Markets whose spot price may have changed since the last [`Spots::changes`], or that traded.
    touched: BTreeSet<MarketId>,
    traded: BTreeSet<MarketId>,
}

#[derive(Debug, Default)]
struct SpotMarket {
    terms: MarketTerms,
    with_room: BTreeSet<(Price, OfferId)>,
    told: Option<Price>,
}

#[derive(Debug)]
struct SpotOffer {
    market: MarketId,
    price: Price,
    pool: PoolKey,
    capacity_mb: u64,
    leased_mb: u64,
}

#[derive(Debug, Default)]
struct SpotPool {
    free_mb: u64,
    offers: BTreeSet<OfferId>,
}

impl SpotMarket {
    fn spot(&self) -> Option<Price> {
        if self.terms.state != MarketState::Open {
            return None;
        }
        let first = self.with_room.first().map(|(price, _)| *price);
        match self.terms.bands {
            // A price of 0 is exempt from them.
            Some((low, high)) if first != Some(Price::ZERO) => {
                let within = self.with_room.range((low, OfferId(0))..).next().map(|(price, _)| *price);
                within.filter(|price| *price <= high)
            }
            _ => first,
        }
    }
}

impl Spots {
    /// Begins with the books as they stand in `engine`.
    pub(crate) fn of(engine: &Engine) -> Spots {
        let mut spots = Spots::default();
        for (id, _) in engine.providers() {
            for (index, pool) in (0..).zip(engine.pools(id)) {
                let is_full = pool.leases >= pool.size.slots;
                let free_mb = if is_full { 0 } else { pool.size.memory_mb.saturating_sub(pool.leased_mb) };
                spots.pools.insert((id, index), SpotPool { free_mb, ..SpotPool::default() });
            }
        }
        for (id, market) in engine.markets() {
            spots.markets.insert(id, SpotMarket { terms: market.terms, ..SpotMarket::default() });
            for offer in engine.book(id) {
                spots.post(&offer);
            }
        }
        spots.changes();
        spots
    }

    /// Returns the spot price of a market as of the last [`Spots::changes`].
    pub(crate) fn of_market(&self, market: MarketId) -> Option<Price> {
        self.markets.get(&market)?.told
    }

    pub(crate) fn take(&mut self, event: &Event) {
        match event {
            Event::MarketCreated { market, .. } => drop(self.markets.insert(*market, SpotMarket::default())),
            Event::MarketDeleted { market } => drop(self.markets.remove(market)),
            Event::MarketChanged { market, terms } => {
                if let Some(market) = self.markets.get_mut(market) {
                    market.terms = *terms;
                }
                self.touched.insert(*market);
            }
            Event::Offer(offer) => self.post(offer),
            Event::OfferGone { offer, .. } => self.remove(*offer),
            Event::OfferLeased { offer, leased_mb, .. } => {
                if let Some(known) = self.offers.get_mut(offer) {
                    known.leased_mb = *leased_mb;
                    self.arrange(*offer);
                }
            }
            Event::Pool { provider, pool, free_mb } => self.set_pool((*provider, *pool), *free_mb),
            Event::Settled { lease, .. } if !lease.private => drop(self.traded.insert(lease.market)),
            _ => {}
        }
    }

    /// Takes the spot prices that changed since the last call, and those of markets that traded, by market.
    pub(crate) fn changes(&mut self) -> Vec<Spot> {
        let traded = std::mem::take(&mut self.traded);
        let mut changes = Vec::new();
        for id in std::mem::take(&mut self.touched).into_iter().chain(traded.iter().copied()) {
            let Some(market) = self.markets.get_mut(&id) else { continue };
            let spot = market.spot();
            let before = std::mem::replace(&mut market.told, spot);
            if before != spot || traded.contains(&id) {
                changes.push((id, spot));
            }
        }
        changes.sort_unstable();
        changes.dedup();
        changes
    }

    fn post(&mut self, change: &OfferChange) {
        let OfferChange { market, offer, provider, price, capacity_mb, leased_mb, .. } = *change;
        if capacity_mb == 0 || !change.is_public || !change.takes_reference_call {
            return self.remove(offer);
        }
        let pool = (provider, change.pool);
        self.pools.entry(pool).or_default().offers.insert(offer);
        self.offers.insert(offer, SpotOffer { market, price, pool, capacity_mb, leased_mb });
        self.arrange(offer);
    }

    fn remove(&mut self, id: OfferId) {
        let Some(offer) = self.offers.remove(&id) else { return };
        if let Some(pool) = self.pools.get_mut(&offer.pool) {
            pool.offers.remove(&id);
        }
        if self.markets.get_mut(&offer.market).is_some_and(|market| market.with_room.remove(&(offer.price, id))) {
            self.touched.insert(offer.market);
        }
    }

    fn set_pool(&mut self, key: PoolKey, free_mb: u64) {
        let pool = self.pools.entry(key).or_default();
        let before = std::mem::replace(&mut pool.free_mb, free_mb);
        if (before >= REFERENCE_MB) != (free_mb >= REFERENCE_MB) {
            for offer in pool.offers.clone() {
                self.arrange(offer);
            }
        }
    }

    /// Lists an offer among those with room, or takes it out.
    fn arrange(&mut self, id: OfferId) {
        let Some(offer) = self.offers.get(&id) else { return };
        let Some(market) = self.markets.get_mut(&offer.market) else { return };
        let pool_mb = self.pools.get(&offer.pool).map_or(0, |pool| pool.free_mb);
        let has_room = pool_mb.min(offer.capacity_mb.saturating_sub(offer.leased_mb)) >= REFERENCE_MB;
        let key = (offer.price, id);
        let changed = if has_room { market.with_room.insert(key) } else { market.with_room.remove(&key) };
        if changed {
            self.touched.insert(offer.market);
        }
    }
}
