//! Sessions, pools and ladders, and the capacity that is left of them.

use merit_engine::{OfferChange, PoolView, Quote, Reply};
use merit_terms::{MarketId, OfferId, PoolSize, ProviderId, Refusal};

use super::{Offer, OpenLease, Twin, invalid, unknown};

const NOTHING: PoolSize = PoolSize { memory_mb: 0, slots: 0 };

impl Twin {
    /// A new run ends every session.
    pub(super) fn start(&mut self, run: u32) -> Result<(), Refusal> {
        if run <= self.run {
            return Err(invalid("run"));
        }
        self.run = run;
        self.offers.clear();
        self.providers.iter_mut().for_each(|provider| provider.online = false);
        Ok(())
    }

    pub(super) fn logon(&mut self, id: ProviderId, endpoint: &str, pools: &[PoolSize]) -> Result<Reply, Refusal> {
        check_pools(pools)?;
        if id.index() >= self.providers.len() {
            return Err(unknown("provider", id.number()));
        }
        self.end_session(id);
        let provider = &mut self.providers[id.index()];
        provider.session += 1;
        provider.online = true;
        provider.last_quote = 0;
        provider.endpoint = endpoint.to_owned();
        let session = provider.session;
        self.state_pools(id, pools);
        Ok(Reply::Session(session))
    }

    pub(super) fn end_session(&mut self, id: ProviderId) {
        self.providers[id.index()].online = false;
        self.offers.retain(|offer| offer.provider != id);
    }

    /// A pool once stated and now left out is empty.
    pub(super) fn state_pools(&mut self, id: ProviderId, stated: &[PoolSize]) {
        let pools = &mut self.providers[id.index()].pools;
        let count = pools.len().max(stated.len());
        *pools = stated.iter().copied().chain(std::iter::repeat(NOTHING)).take(count).collect();
    }

    /// The pool is what runs in it now.
    pub(super) fn busy(&mut self, id: ProviderId, pool: u32) -> Result<(), Refusal> {
        let view = *self.pools(id).get(pool as usize).ok_or_else(|| unknown("pool", pool))?;
        self.providers[id.index()].pools[pool as usize] =
            PoolSize { memory_mb: view.size.memory_mb.min(view.leased_mb), slots: view.size.slots.min(view.leases) };
        Ok(())
    }

    /// A rung with the id, tariff and pool of one that stood there is that offer; all others of the old ladder go.
    pub(super) fn quote_ladder(&mut self, sequence: u64, quote: &Quote) -> Result<(), Refusal> {
        let provider = self.in_session(quote.provider, quote.session)?;
        if quote.number <= provider.last_quote {
            return Err(Refusal::StaleQuote { last: provider.last_quote });
        }
        let pools = provider.pools.len();
        if quote.market.index() >= self.markets.len() {
            return Err(unknown("market", quote.market.number()));
        }
        check_ladder(quote, pools)?;
        self.providers[quote.provider.index()].last_quote = quote.number;
        let is_old = |offer: &Offer| offer.provider == quote.provider && offer.market == quote.market;
        let old: Vec<Offer> = self.offers.iter().filter(|offer| is_old(offer)).cloned().collect();
        self.offers.retain(|offer| !is_old(offer));
        let mut ladder = Vec::new();
        for rung in &quote.rungs {
            let stood = old.iter().find(|offer| {
                let was = &offer.rung;
                (was.id, was.pool, was.tariff) == (rung.id, rung.pool, rung.tariff)
            });
            let id = stood.map_or_else(|| self.next_offer(), |offer| offer.id);
            let place = stood.filter(|offer| offer.rung == *rung).map_or(sequence, |offer| offer.place);
            ladder.push(Offer { id, provider: quote.provider, market: quote.market, rung: *rung, place });
        }
        for offer in &ladder {
            let equals = ladder.iter().filter(|other| other.rung.tariff == offer.rung.tariff);
            let place = equals.map(|other| other.place).max().unwrap_or(offer.place);
            self.offers.push(Offer { place, ..offer.clone() });
        }
        Ok(())
    }

    fn next_offer(&mut self) -> OfferId {
        self.offers_posted += 1;
        OfferId(self.offers_posted)
    }

    fn on_pool(&self, id: ProviderId, pool: u32) -> impl Iterator<Item = &OpenLease> {
        self.leases.iter().filter(move |open| open.has_capacity && open.lease.provider == id && open.pool == pool)
    }

    pub(crate) fn pools(&self, id: ProviderId) -> Vec<PoolView> {
        let sizes = self.providers[id.index()].pools.iter().zip(0..);
        sizes
            .map(|(size, pool)| PoolView {
                size: *size,
                leased_mb: self.on_pool(id, pool).map(|open| u64::from(open.lease.memory_mb)).sum(),
                leases: self.on_pool(id, pool).count() as u32,
            })
            .collect()
    }

    /// Memory that one more invocation could take: what is left of the rung and of the pool; 0 without a slot.
    pub(crate) fn free_mb(&self, offer: &Offer) -> u64 {
        let pool = self.pools(offer.provider)[offer.rung.pool as usize];
        if pool.leases >= pool.size.slots {
            return 0;
        }
        let on_rung = self.leases.iter().filter(|open| open.has_capacity && open.lease.offer == offer.id);
        let leased_mb: u64 = on_rung.map(|open| u64::from(open.lease.memory_mb)).sum();
        let left = |of: u64, taken: u64| of.saturating_sub(taken);
        left(offer.rung.capacity_mb, leased_mb).min(left(pool.size.memory_mb, pool.leased_mb))
    }

    /// A market's live offers, cheapest first, then oldest.
    pub(crate) fn book(&self, market: MarketId) -> Vec<OfferChange> {
        let mut book: Vec<OfferChange> = self
            .offers
            .iter()
            .filter(|offer| offer.market == market)
            .map(|offer| OfferChange {
                market,
                offer: offer.id,
                provider: offer.provider,
                price: offer.rung.tariff.reference_price(),
                capacity_mb: offer.rung.capacity_mb,
                free_mb: self.free_mb(offer),
                tariff: offer.rung.tariff,
            })
            .collect();
        book.sort_by_key(|offer| (offer.price, offer.offer));
        book
    }
}

pub(super) fn check_pools(pools: &[PoolSize]) -> Result<(), Refusal> {
    if !(1..=64).contains(&pools.len()) {
        return Err(invalid("pools"));
    }
    for (i, pool) in pools.iter().enumerate() {
        if pool.memory_mb > PoolSize::MAX_MEMORY_MB {
            return Err(invalid(&format!("pools[{i}].memory_mb")));
        }
        if pool.slots > PoolSize::MAX_SLOTS {
            return Err(invalid(&format!("pools[{i}].slots")));
        }
    }
    Ok(())
}

/// All or nothing; the refusal names every wrong rung.
fn check_ladder(quote: &Quote, pools: usize) -> Result<(), Refusal> {
    if quote.rungs.len() > 64 {
        return Err(invalid("rungs"));
    }
    let mut rungs = Vec::new();
    let mut ids = Vec::new();
    for rung in &quote.rungs {
        if rung.check().is_err() || rung.pool as usize >= pools || ids.contains(&rung.id) {
            rungs.push((rung.id, String::new()));
        }
        ids.push(rung.id);
    }
    if rungs.is_empty() { Ok(()) } else { Err(Refusal::Rungs { rungs }) }
}
