//! The free memory of each pool, and the offers that share it.
//!
//! A lease names one offer and one pool; the other offers that have less room by it are found here. A pool's free
//! memory is also read off its offers as they are posted: one with less room than its own rest has exactly the pool's,
//! any other at most that. Only pools with live offers are kept.

use std::collections::{BTreeSet, HashMap};

use merit_engine::OfferChange;
use merit_terms::{MarketId, OfferId, Price};

use crate::spots::PoolKey;

/// The place of an offer: market, price and id.
pub(super) type OfferKey = (MarketId, Price, OfferId);

#[derive(Default)]
pub(super) struct Pools {
    by_key: HashMap<PoolKey, Pool>,
    touched: BTreeSet<PoolKey>,
}

#[derive(Default)]
struct Pool {
    free_mb: u64,
    offers: BTreeSet<OfferKey>,
}

impl Pools {
    /// Adds a posted offer, with its free memory.
    pub(super) fn add(&mut self, offer: &OfferChange) {
        let key = (offer.provider, offer.pool);
        let pool = self.by_key.entry(key).or_default();
        let rest_mb = offer.capacity_mb.saturating_sub(offer.leased_mb);
        pool.free_mb = if offer.free_mb < rest_mb { offer.free_mb } else { pool.free_mb.max(offer.free_mb) };
        pool.offers.insert((offer.market, offer.price, offer.offer));
        self.touched.insert(key);
    }

    /// Removes an offer.
    pub(super) fn remove(&mut self, key: PoolKey, offer: OfferKey) {
        let Some(pool) = self.by_key.get_mut(&key) else { return };
        pool.offers.remove(&offer);
        if pool.offers.is_empty() {
            self.by_key.remove(&key);
        }
    }

    /// Sets the free memory of a pool.
    pub(super) fn set(&mut self, key: PoolKey, free_mb: u64) {
        if let Some(pool) = self.by_key.get_mut(&key) {
            pool.free_mb = free_mb;
            self.touched.insert(key);
        }
    }

    /// Takes all offers whose pool has changed since the last call, with the pool's free memory.
    pub(super) fn changed(&mut self) -> Vec<(OfferKey, u64)> {
        let touched = std::mem::take(&mut self.touched);
        let pools = touched.iter().filter_map(|key| self.by_key.get(key));
        pools.flat_map(|pool| pool.offers.iter().map(|offer| (*offer, pool.free_mb))).collect()
    }
}
