//! Pools: the capacity that a provider states, and the leases on it.

use merit_terms::{AccountId, PoolSize, ProviderId, Refusal};
use serde::{Deserialize, Serialize};

use super::Shelf;
use super::shares::{AccountLeases, open_to_all};
use crate::event::Event;
use crate::turn::Turn;

/// Maximum pools of a provider.
const POOLS_MAX: usize = 64;

/// The index of a pool in the shelf. A handle: no part of the state's meaning, and left out of the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PoolSlot(u32);

impl PoolSlot {
    fn new(index: usize) -> PoolSlot {
        PoolSlot(index as u32)
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pool {
    provider: ProviderId,
    index: u32,
    /// The stated size, or less since the provider was busy.
    size: PoolSize,
    leased_mb: u64,
    leases: u32,
    #[serde(skip)]
    by_account: AccountLeases,
    /// True if the pool leaves any live offer on it without room.
    #[serde(skip)]
    any_closed: bool,
    /// Upper bound of the least memory of the live offers on it.
    #[serde(skip)]
    most_min_mb: u32,
}

impl Pool {
    fn new(provider: ProviderId, index: usize) -> Pool {
        Pool {
            provider,
            index: index as u32,
            size: PoolSize { memory_mb: 0, slots: 0 },
            leased_mb: 0,
            leases: 0,
            by_account: AccountLeases::default(),
            any_closed: false,
            most_min_mb: 0,
        }
    }

    pub(super) fn provider(&self) -> ProviderId {
        self.provider
    }

    /// Returns its index among the provider's pools.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn size(&self) -> PoolSize {
        self.size
    }

    pub(crate) fn leased_mb(&self) -> u64 {
        self.leased_mb
    }

    pub(crate) fn leases(&self) -> u32 {
        self.leases
    }

    /// Returns the memory that one more lease could take; 0 without a free slot.
    pub(crate) fn free_mb(&self) -> u64 {
        if self.leases >= self.size.slots { 0 } else { self.size.memory_mb.saturating_sub(self.leased_mb) }
    }

    /// Returns whether every slot is taken.
    pub(crate) fn is_full(&self) -> bool {
        self.size.slots > 0 && self.leases >= self.size.slots
    }

    /// Returns whether one more lease of an account leaves room for accounts without one.
    pub(crate) fn leaves_room(&self, account: AccountId, memory_mb: u32) -> bool {
        let open = open_to_all(self.size);
        let fits = self.leases < open.slots && self.leased_mb + u64::from(memory_mb) <= open.memory_mb;
        fits || !self.by_account.has(account)
    }

    /// Enters a lease that already has its memory and slot among those of its account.
    pub(super) fn enter(&mut self, account: AccountId) {
        self.by_account.begin(account);
    }

    /// Takes memory and one slot for a lease of an account.
    pub(super) fn take(&mut self, account: AccountId, memory_mb: u32) {
        self.by_account.begin(account);
        self.leased_mb += u64::from(memory_mb);
        self.leases += 1;
    }

    /// Gives back memory and one slot of a lease of an account.
    pub(super) fn give_back(&mut self, account: AccountId, memory_mb: u32) {
        self.by_account.end(account);
        self.leased_mb -= u64::from(memory_mb);
        self.leases -= 1;
    }

    /// Sets the size that the provider states. Returns whether it is another, and whether it is more.
    fn state(&mut self, size: PoolSize) -> (bool, bool) {
        let before = std::mem::replace(&mut self.size, size);
        (before != size, size.memory_mb > before.memory_mb || size.slots > before.slots)
    }

    /// Lowers it to what runs in it now.
    fn lower_to_leased(&mut self) {
        self.size.memory_mb = self.size.memory_mb.min(self.leased_mb);
        self.size.slots = self.size.slots.min(self.leases);
    }

    /// Returns whether an offer on it may lack room because of it.
    pub(super) fn may_lack_room(&self) -> bool {
        self.free_mb() < self.most_min_mb.into()
    }

    pub(super) fn any_closed(&self) -> bool {
        self.any_closed
    }

    /// Takes in a live offer with this least memory.
    pub(super) fn adopt(&mut self, min_mb: u32) {
        self.most_min_mb = self.most_min_mb.max(min_mb);
    }

    /// Forgets whether it leaves offers without room, before they are looked at again.
    pub(super) fn look_again(&mut self) {
        self.any_closed = false;
    }

    /// Returns whether it has room for an offer with this least memory. One without is noted.
    pub(super) fn has_room_for(&mut self, min_mb: u32) -> bool {
        let has_room = self.free_mb() >= u64::from(min_mb);
        self.any_closed |= !has_room;
        has_room
    }

    pub(super) fn event(&self) -> Event {
        Event::Pool { provider: self.provider, pool: self.index, free_mb: self.free_mb() }
    }
}

impl Shelf {
    /// Sets a provider's pools to the stated sizes; leases on them stay.
    pub(crate) fn state_pools(&mut self, turn: &mut Turn<'_>, provider: ProviderId, sizes: &[PoolSize]) {
        let mut slots = std::mem::take(&mut self.sellers[provider.index()].pools);
        while slots.len() < sizes.len() {
            self.pools.push(Pool::new(provider, slots.len()));
            slots.push(PoolSlot::new(self.pools.len() - 1));
        }
        let nothing = PoolSize { memory_mb: 0, slots: 0 };
        for (index, slot) in slots.iter().copied().enumerate() {
            let size = sizes.get(index).copied().unwrap_or(nothing);
            let pool = &mut self.pools[slot.index()];
            let (is_other, is_more) = pool.state(size);
            turn.tell(pool.event());
            if is_other {
                self.arrange_pool(slot);
            }
            if is_more {
                self.wake_pool(slot);
            }
        }
        self.sellers[provider.index()].pools = slots;
    }

    /// Lowers a pool to what runs in it now.
    pub(crate) fn busy(&mut self, turn: &mut Turn<'_>, slot: PoolSlot) {
        let pool = &mut self.pools[slot.index()];
        pool.lower_to_leased();
        turn.tell(pool.event());
        self.arrange_pool(slot);
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
