//! Deadlines of leases, bids, offers and quotas in one order of time, and the next look of resting bids.
//!
//! Owns the order. Never says what a deadline does: that is `execute::expire`.

use std::collections::BTreeSet;

use merit_terms::{LeaseId, OfferId, ProviderId, Time};
use serde::{Deserialize, Serialize};

/// The index of an offer in the shelf. A handle: no part of the state's meaning, and left out of the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct OfferSlot(u32);

impl OfferSlot {
    /// The slot of an offer that is not posted yet.
    pub(crate) const UNPOSTED: OfferSlot = OfferSlot(u32::MAX);

    pub(crate) fn new(index: usize) -> OfferSlot {
        OfferSlot(index as u32)
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A deadline. Those of one time run in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Deadline {
    /// The next deadline of the lease matched at this sequence.
    Lease(u64),
    /// The end of the time in which a broker may take up the lease of a deferred bid.
    TakeUp(u64),
    /// The deadline of the deferred bid with this sequence.
    Bid(u64),
    Offer(OfferId, OfferSlot),
    /// The renewal of a provider's quota.
    Renewal(ProviderId, u32),
    /// The end of the memory of a forgotten lease that was settled.
    Late(LeaseId),
    /// The next moment at which time alone may serve a resting bid.
    Look,
}

/// All deadlines, in order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Deadlines(BTreeSet<(Time, Deadline)>);

impl Deadlines {
    pub(crate) fn insert(&mut self, at: Time, deadline: Deadline) {
        self.0.insert((at, deadline));
    }

    pub(crate) fn remove(&mut self, at: Time, deadline: Deadline) {
        self.0.remove(&(at, deadline));
    }

    /// Returns the time of the next deadline.
    pub(crate) fn next(&self) -> Option<Time> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes out the next deadline, if it is not after `at`.
    pub(crate) fn take(&mut self, at: Time) -> Option<(Time, Deadline)> {
        let next = self.0.first().filter(|(time, _)| *time <= at).copied()?;
        self.0.remove(&next);
        Some(next)
    }
}
