//! Account shares: if two accounts had leases within the hour, the last eighth of a pool is kept for accounts without a
//! lease there, so that a few accounts cannot fill it.

use std::collections::BTreeMap;

use merit_terms::{AccountId, PoolSize};

/// Divisor of a pool: one part in 8 of its memory and of its slots (at least one slot) is kept for accounts without a
/// lease there.
const KEPT_FOR_OTHERS: u32 = 8;

/// Open leases on one pool, by account.
#[derive(Clone, Debug, Default)]
pub(super) struct AccountLeases(BTreeMap<AccountId, u32>);

impl AccountLeases {
    pub(super) fn begin(&mut self, account: AccountId) {
        *self.0.entry(account).or_default() += 1;
    }

    pub(super) fn end(&mut self, account: AccountId) {
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

/// Returns the memory and slots that accounts with a lease in the pool may fill.
pub(super) fn open_to_all(size: PoolSize) -> PoolSize {
    PoolSize {
        slots: size.slots.saturating_sub((size.slots / KEPT_FOR_OTHERS).max(1)),
        memory_mb: size.memory_mb - size.memory_mb / u64::from(KEPT_FOR_OTHERS),
    }
}
