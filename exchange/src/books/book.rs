//! One market's book: offers, levels on both sides, and its changes since the last publication.
//!
//! The free memory of an offer is the least of its own rest and its pool's free memory; the latter comes from outside
//! ([`Book::cap`]). A change costs a search in the offers, a checksum a walk over the levels.

use std::collections::{BTreeMap, BTreeSet};

use merit_engine::{MarketTerms, OfferChange};
use merit_proto::v1;
use merit_terms::{OfferId, Price};

use crate::spots::PoolKey;

#[derive(Default)]
pub(super) struct Book {
    pub(super) terms: MarketTerms,
    pub(super) last_price: Option<Price>,
    /// The number of all trades ever.
    pub(super) trades: u64,
    /// The sequence of its last publication.
    pub(super) sequence: u64,
    offers: BTreeMap<(Price, OfferId), Offer>,
    /// Published offers that are withdrawn.
    gone: Vec<OfferChange>,
    supply: BTreeMap<Price, Supply>,
    demand: BTreeMap<Price, Demand>,
    touched_offers: BTreeSet<(Price, OfferId)>,
    touched_bids: BTreeSet<Price>,
}

struct Offer {
    /// The posted offer, with its present leases.
    posted: OfferChange,
    pool_mb: u64,
    /// The published capacity and free memory, which are counted in its level.
    told: Option<(u64, u64)>,
}

/// The supply at one price.
#[derive(Default)]
struct Supply {
    free_mb: u64,
    offers: u32,
}

/// The demand at one limit.
#[derive(Clone, Copy, Default)]
struct Demand {
    memory_mb: u64,
    bids: u32,
    told: (u64, u32),
}

/// The changes of a book since its last publication.
pub(super) struct BookChange {
    pub(super) prev_seq: u64,
    pub(super) seq: u64,
    /// The changed offers; a withdrawn one has no capacity.
    pub(super) offers: Vec<OfferChange>,
    /// The changed levels; an empty one has no bids.
    pub(super) bids: Vec<v1::BidLevel>,
}

impl Offer {
    fn standing(&self) -> OfferChange {
        let rest_mb = self.posted.capacity_mb.saturating_sub(self.posted.leased_mb);
        OfferChange { free_mb: rest_mb.min(self.pool_mb), ..self.posted }
    }
}

impl Book {
    pub(super) fn new(sequence: u64) -> Book {
        Book { sequence, ..Book::default() }
    }

    /// Posts an offer, or replaces it.
    pub(super) fn post(&mut self, change: &OfferChange) {
        let key = (change.price, change.offer);
        match self.offers.get_mut(&key) {
            Some(offer) => offer.posted = *change,
            None => {
                self.supply.entry(change.price).or_default().offers += 1;
                self.offers.insert(key, Offer { posted: *change, pool_mb: change.free_mb, told: None });
            }
        }
        self.touched_offers.insert(key);
    }

    /// Withdraws an offer. Returns its pool, if it was there.
    pub(super) fn withdraw(&mut self, price: Price, id: OfferId) -> Option<PoolKey> {
        let offer = self.offers.remove(&(price, id))?;
        self.touched_offers.remove(&(price, id));
        if let Some(supply) = self.supply.get_mut(&price) {
            supply.free_mb -= offer.told.map_or(0, |(_, free_mb)| free_mb);
            supply.offers -= 1;
            if supply.offers == 0 {
                self.supply.remove(&price);
            }
        }
        if offer.told.is_some() {
            self.gone.push(OfferChange { capacity_mb: 0, leased_mb: 0, free_mb: 0, ..offer.posted });
        }
        Some((offer.posted.provider, offer.posted.pool))
    }

    pub(super) fn lease(&mut self, price: Price, id: OfferId, leased_mb: u64) {
        if let Some(offer) = self.offers.get_mut(&(price, id)) {
            offer.posted.leased_mb = leased_mb;
            self.touched_offers.insert((price, id));
        }
    }

    /// Sets the free memory of an offer's pool.
    pub(super) fn cap(&mut self, price: Price, id: OfferId, pool_mb: u64) {
        if let Some(offer) = self.offers.get_mut(&(price, id)) {
            offer.pool_mb = pool_mb;
            self.touched_offers.insert((price, id));
        }
    }

    /// Adds a resting bid at `limit`.
    pub(super) fn rest(&mut self, limit: Price, memory_mb: u32) {
        let level = self.demand.entry(limit).or_default();
        level.memory_mb += u64::from(memory_mb);
        level.bids += 1;
        self.touched_bids.insert(limit);
    }

    /// Removes a resting bid at `limit`.
    pub(super) fn unrest(&mut self, limit: Price, memory_mb: u32) {
        if let Some(level) = self.demand.get_mut(&limit) {
            level.memory_mb = level.memory_mb.saturating_sub(u64::from(memory_mb));
            level.bids = level.bids.saturating_sub(1);
            self.touched_bids.insert(limit);
        }
    }

    /// Takes the changes since the last publication, and counts them as published as of `sequence`.
    pub(super) fn changed(&mut self, sequence: u64) -> Option<BookChange> {
        let mut offers = std::mem::take(&mut self.gone);
        for key in std::mem::take(&mut self.touched_offers) {
            offers.extend(self.tell_offer(key));
        }
        let mut bids = Vec::new();
        for limit in std::mem::take(&mut self.touched_bids) {
            bids.extend(self.tell_bids(limit));
        }
        if offers.is_empty() && bids.is_empty() {
            return None;
        }
        let prev_seq = std::mem::replace(&mut self.sequence, sequence);
        Some(BookChange { prev_seq, seq: sequence, offers, bids })
    }

    fn tell_offer(&mut self, key: (Price, OfferId)) -> Option<OfferChange> {
        let offer = self.offers.get_mut(&key)?;
        let standing = offer.standing();
        let before = offer.told.replace((standing.capacity_mb, standing.free_mb));
        if before == offer.told {
            return None;
        }
        let supply = self.supply.entry(key.0).or_default();
        supply.free_mb = supply.free_mb + standing.free_mb - before.map_or(0, |(_, free_mb)| free_mb);
        Some(standing)
    }

    fn tell_bids(&mut self, limit: Price) -> Option<v1::BidLevel> {
        let level = self.demand.get_mut(&limit)?;
        let now = (level.memory_mb, level.bids);
        let before = std::mem::replace(&mut level.told, now);
        if level.bids == 0 {
            self.demand.remove(&limit);
        }
        (before != now).then(|| bid_level(limit, now))
    }

    /// Lists the offers as they stand, cheapest first.
    pub(super) fn offers(&self) -> impl Iterator<Item = OfferChange> {
        self.offers.values().map(Offer::standing)
    }

    /// Lists the levels of bids, dearest first.
    pub(super) fn bids(&self) -> impl Iterator<Item = v1::BidLevel> {
        self.demand.iter().rev().map(|(limit, level)| bid_level(*limit, (level.memory_mb, level.bids)))
    }

    /// Computes CRC32C over the levels, best first, offers then bids: price and quantity as little-endian 64-bit
    /// integers.
    pub(super) fn checksum(&self) -> u32 {
        let supply = self.supply.iter().map(|(price, level)| (*price, level.free_mb));
        let demand = self.demand.iter().rev().map(|(limit, level)| (*limit, level.memory_mb));
        supply.chain(demand).fold(0, |crc, (price, quantity)| {
            let crc = crc32c::crc32c_append(crc, &price.picodollars().to_le_bytes());
            crc32c::crc32c_append(crc, &quantity.to_le_bytes())
        })
    }
}

fn bid_level(limit: Price, (memory_mb, bids): (u64, u32)) -> v1::BidLevel {
    v1::BidLevel { price: limit.picodollars(), memory_mb, bids }
}
