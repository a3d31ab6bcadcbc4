//! Shares: where several accounts had leases within the hour, the last eighth of a pool is for accounts without a lease
//! there, so that no few accounts take all of it.

use std::collections::BTreeMap;

use merit_terms::{AccountId, PoolSize};

/// Part of a pool, in slots (at least one) and memory, that is kept for accounts without a lease there.
const KEPT_FOR_OTHERS: u32 = 8;

/// The number of leases on one pool, by account.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares(BTreeMap<AccountId, u32>);

impl Shares {
    pub(super) fn take(&mut self, account: AccountId) {
        *self.0.entry(account).or_default() += 1;
    }

    pub(super) fn give_back(&mut self, account: AccountId) {
        if let Some(leases) = self.0.get_mut(&account) {
            *leases -= 1;
            if *leases == 0 {
                self.0.remove(&account);
            }
        }
    }

    pub(super) fn has(&self, account: AccountId) -> bool {
        self.0.contains_key(&account)
    }
}

/// Returns the part of a pool that accounts with a lease there may fill.
pub(super) fn open_to_all(size: PoolSize) -> PoolSize {
    PoolSize {
        slots: size.slots.saturating_sub((size.slots / KEPT_FOR_OTHERS).max(1)),
        memory_mb: size.memory_mb - size.memory_mb / u64::from(KEPT_FOR_OTHERS),
    }
}
