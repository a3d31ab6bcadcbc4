//! The entries of a book as events tell them: offers, and resting bids.

use merit_terms::{LeaseId, MarketId, Money, OfferId, Price, ProviderId, Tariff, Time};
use serde::{Deserialize, Serialize};

use crate::command::Deferred;

/// An offer as it stands in its book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferChange {
    pub market: MarketId,
    pub offer: OfferId,
    pub provider: ProviderId,
    /// The provider's pool that it sells, by index.
    pub pool: u32,
    pub price: Price,
    pub capacity_mb: u64,
    /// Leased memory.
    pub leased_mb: u64,
    /// Free memory: the less of capacity - leased and the free memory of its pool.
    pub free_mb: u64,
    pub tariff: Tariff,
    /// True if everybody may see it; others are in no public market data.
    pub is_public: bool,
    /// True if it takes the memory of the reference call.
    pub takes_reference_call: bool,
}

/// A deferred bid in the books.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resting {
    pub id: LeaseId,
    pub deferred: Deferred,
    pub revision: u32,
    pub memory_mb: u32,
    pub limit: Price,
    /// Its hold, which is its max cost.
    pub hold: Money,
    pub rested_at: Time,
    /// The markets in which it may run.
    pub markets: Vec<MarketId>,
}
