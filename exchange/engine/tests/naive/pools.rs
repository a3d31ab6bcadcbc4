//! Pools, and their free capacity.

use merit_engine::PoolView;
use merit_terms::{AccountId, PoolSize, ProviderId, Refusal, Time};

use super::{Offer, OpenLease, Twin, invalid, unknown};

const NOTHING: PoolSize = PoolSize { memory_mb: 0, slots: 0 };

impl Twin {
    /// Sets the pools. One that is left out is empty. Resting bids look at the offers of pools that grew.
    pub(super) fn state_pools(&mut self, id: ProviderId, stated: &[PoolSize]) {
        let before = self.providers[id.index()].pools.clone();
        let count = before.len().max(stated.len());
        let now: Vec<_> = stated.iter().copied().chain(std::iter::repeat(NOTHING)).take(count).collect();
        self.providers[id.index()].pools = now.clone();
        for (pool, now) in now.iter().enumerate() {
            let before = before.get(pool).copied().unwrap_or(NOTHING);
            if now.memory_mb > before.memory_mb || now.slots > before.slots {
                self.trigger_pool(id, pool as u32);
            }
        }
    }

    /// Wakes resting bids for every live offer on the pool.
    pub(super) fn trigger_pool(&mut self, id: ProviderId, pool: u32) {
        self.trigger_offers(|offer| offer.provider == id && offer.rung.pool == pool);
    }

    pub(super) fn trigger_offers(&mut self, is_meant: impl Fn(&Offer) -> bool) {
        let offers: Vec<Offer> = self.offers.iter().filter(|offer| is_meant(offer)).cloned().collect();
        for offer in offers {
            self.trigger(offer.market, offer.price());
        }
    }

    /// Shrinks the pool to its running leases.
    pub(super) fn busy(&mut self, id: ProviderId, pool: u32) -> Result<(), Refusal> {
        let view = *self.pools(id).get(pool as usize).ok_or_else(|| unknown("pool", pool))?;
        self.providers[id.index()].pools[pool as usize] =
            PoolSize { memory_mb: view.size.memory_mb.min(view.leased_mb), slots: view.size.slots.min(view.leases) };
        Ok(())
    }

    fn on_pool(&self, id: ProviderId, pool: u32) -> impl Iterator<Item = &OpenLease> {
        self.leases.iter().filter(move |open| open.has_capacity && open.lease.provider == id && open.pool == pool)
    }

    /// Returns whether one more lease of the account leaves an eighth of the pool, at least one slot, to accounts
    /// without a lease there.
    pub(super) fn leaves_room(&self, offer: &Offer, account: AccountId, memory_mb: u32) -> bool {
        let pool = self.pool(offer.provider, offer.rung.pool);
        let (slots, memory) = (pool.leases + 1, pool.leased_mb + u64::from(memory_mb));
        let fits = slots + (pool.size.slots / 8).max(1) <= pool.size.slots
            && memory + pool.size.memory_mb / 8 <= pool.size.memory_mb;
        fits || !self.on_pool(offer.provider, offer.rung.pool).any(|open| open.lease.account == account)
    }

    /// Looks again whether several accounts use a provider, when a lease there ends. If they no longer do, its offers
    /// may serve more.
    pub(super) fn share_again(&mut self, at: Time, id: ProviderId) {
        let several = self.serves_several(at, id);
        if std::mem::replace(&mut self.providers[id.index()].shared, several) && !several {
            self.wake_provider(id, "woken by the end of shares");
        }
    }

    pub(crate) fn pool(&self, id: ProviderId, pool: u32) -> PoolView {
        PoolView {
            size: self.providers[id.index()].pools[pool as usize],
            leased_mb: self.on_pool(id, pool).map(|open| u64::from(open.lease.memory_mb)).sum(),
            leases: self.on_pool(id, pool).count() as u32,
        }
    }

    pub(crate) fn pools(&self, id: ProviderId) -> Vec<PoolView> {
        (0..self.providers[id.index()].pools.len() as u32).map(|pool| self.pool(id, pool)).collect()
    }

    pub(crate) fn leased_mb(&self, offer: &Offer) -> u64 {
        let on_rung = self.leases.iter().filter(|open| open.has_capacity && open.lease.offer == offer.id);
        on_rung.map(|open| u64::from(open.lease.memory_mb)).sum()
    }

    /// Returns the memory that one more invocation could take: the rest of the rung and of the pool; 0 without a slot.
    pub(crate) fn free_mb(&self, offer: &Offer) -> u64 {
        let pool = self.pool(offer.provider, offer.rung.pool);
        if pool.leases >= pool.size.slots {
            return 0;
        }
        let left = |of: u64, taken: u64| of.saturating_sub(taken);
        left(offer.rung.capacity_mb, self.leased_mb(offer)).min(left(pool.size.memory_mb, pool.leased_mb))
    }
}

pub(super) fn check(pools: &[PoolSize]) -> Result<(), Refusal> {
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
