//! One offer: a rung as it stands in a book, and what is leased on it.

use std::collections::BTreeMap;

use merit_terms::{AccountId, MarketId, OfferId, Price, ProviderId, Tariff, Time};
use serde::{Deserialize, Serialize};

use super::pools::PoolSlot;

/// One rung as it was posted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Offer {
    pub(crate) id: OfferId,
    pub(crate) provider: ProviderId,
    pub(crate) market: MarketId,
    pub(crate) pool: PoolSlot,
    /// The provider's number of it.
    pub(super) rung: u32,
    pub(crate) tariff: Tariff,
    pub(crate) vcpus_milli: u32,
    pub(crate) memory_min_mb: u32,
    pub(crate) memory_max_mb: u32,
    pub(crate) longest_ms: u32,
    pub(crate) price: Price,
    pub(super) capacity_mb: u64,
    pub(super) leased_mb: u64,
    pub(super) leases: u32,
    /// The provider's quota that it draws on, by index.
    pub(crate) quota: Option<u32>,
    /// Place: the sequence of its last match or posting. The longest wait goes first among equals.
    pub(crate) place: u64,
    /// Time at which it leaves the book by itself.
    pub(crate) expires: Option<Time>,
    pub(super) extras: Option<Box<Extras>>,
    pub(crate) enforces_timeout: bool,
    /// True if it left its ladder: it sells nothing more, and goes with its last lease.
    pub(super) retired: bool,
    /// Position among the offers without room, while it has none.
    #[serde(skip)]
    pub(super) closed_at: u32,
}

/// The parts that few offers have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extras {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) audience: Vec<AccountId>,
}

impl Offer {
    pub(crate) fn audience(&self) -> &[AccountId] {
        self.extras.as_ref().map_or(&[], |extras| &extras.audience)
    }

    /// Returns whether it takes the memory of the reference call.
    pub(super) fn takes_reference_call(&self) -> bool {
        (self.memory_min_mb..=self.memory_max_mb).contains(&Tariff::REFERENCE_MEMORY_MB)
    }

    pub(crate) fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.extras.as_ref().map(|extras| &extras.labels)
    }

    /// Takes memory for a match, which sends it to the back.
    pub(super) fn take(&mut self, memory_mb: u32, sequence: u64) {
        self.leased_mb += u64::from(memory_mb);
        self.leases += 1;
        self.place = sequence;
    }

    /// Gives back the memory of a lease.
    pub(super) fn give_back(&mut self, memory_mb: u32) {
        self.leased_mb -= u64::from(memory_mb);
        self.leases -= 1;
    }

    /// Returns whether it has room for the smallest call that it takes, apart from its pool.
    pub(super) fn has_room(&self) -> bool {
        self.capacity_mb >= self.leased_mb + u64::from(self.memory_min_mb)
    }

    /// Returns the memory that one more lease could take, apart from its pool; 0 if it is retired.
    pub(super) fn free_mb(&self) -> u64 {
        if self.retired { 0 } else { self.capacity_mb.saturating_sub(self.leased_mb) }
    }
}
