//! What a provider states of its pools, and what its being busy says of them.

use merit_terms::{PoolSize, ProviderId, Refusal};

use super::{Pool, PoolSlot, Shelf};
use crate::event::Event;

const POOLS_MAX: usize = 64;

impl Shelf {
    /// Sets a provider's pools to what it states; leases on them stay.
    pub(crate) fn state_pools(&mut self, provider: ProviderId, sizes: &[PoolSize], events: &mut Vec<Event>) {
        let nothing = PoolSize { memory_mb: 0, slots: 0 };
        let mut slots = std::mem::take(&mut self.sellers[provider.index()].pools);
        while slots.len() < sizes.len() {
            slots.push(self.pools.len() as PoolSlot);
            self.pools.push(Pool {
                provider,
                index: (slots.len() - 1) as u32,
                size: nothing,
                leased_mb: 0,
                leases: 0,
                any_closed: false,
                most_min_mb: 0,
            });
        }
        for (index, slot) in slots.iter().copied().enumerate() {
            let size = sizes.get(index).copied().unwrap_or(nothing);
            let pool = &mut self.pools[slot as usize];
            let before = std::mem::replace(&mut pool.size, size);
            events.push(pool.event());
            if before != size {
                self.arrange_pool(slot);
            }
            if size.memory_mb > before.memory_mb || size.slots > before.slots {
                self.wake_pool(slot);
            }
        }
        self.sellers[provider.index()].pools = slots;
    }

    /// Lowers a pool to what runs in it now.
    pub(crate) fn busy(&mut self, pool: PoolSlot, events: &mut Vec<Event>) {
        let pool_of = &mut self.pools[pool as usize];
        pool_of.size.memory_mb = pool_of.size.memory_mb.min(pool_of.leased_mb);
        pool_of.size.slots = pool_of.size.slots.min(pool_of.leases);
        events.push(pool_of.event());
        self.arrange_pool(pool);
    }
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
