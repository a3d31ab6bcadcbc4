//! What is due when: deadlines of leases, bids, offers and quotas in one order of time, and when bids look again.

use std::collections::BTreeSet;

use merit_terms::{LeaseId, OfferId, ProviderId, Time};
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::event::Event;
use crate::supply::OfferSlot;

/// The most expiries that run before one command; the rest run before the next ones.
pub const EXPIRIES_MAX: usize = 64;

/// What comes due. At one time they run in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Due {
    /// The next deadline of the lease matched at this sequence.
    Lease(u64),
    /// A lease of a deferred bid that its broker has not taken up.
    TakeUp(u64),
    /// The deadline of the deferred bid with this sequence.
    Bid(u64),
    Offer(OfferId, OfferSlot),
    /// A provider's quota renews.
    Renewal(ProviderId, u32),
    /// A forgotten lease that was settled need not be remembered any longer.
    Late(LeaseId),
    /// The next moment at which time alone may serve a resting bid.
    Look,
}

pub(crate) type Dues = BTreeSet<(Time, Due)>;

impl Engine {
    /// Runs what is due at `at` in order, at most [`EXPIRIES_MAX`]; whether anything was.
    pub(crate) fn expire(&mut self, at: Time, events: &mut Vec<Event>) -> bool {
        let mut ran = 0;
        while ran < EXPIRIES_MAX
            && let Some((time, due)) = self.dues.first().copied().filter(|(time, _)| *time <= at)
        {
            self.dues.remove(&(time, due));
            match due {
                Due::Lease(sequence) => self.lease_due(sequence, events),
                Due::TakeUp(sequence) => self.not_taken_up(at, sequence, events),
                Due::Bid(sequence) => self.bid_due(sequence, events),
                Due::Offer(_, slot) => self.shelf.expire(slot, &mut self.dues, events),
                Due::Renewal(provider, quota) => self.renew(provider, quota),
                Due::Late(lease) => {
                    self.leases.late.remove(&lease);
                }
                Due::Look => self.look(time),
            }
            ran += 1;
        }
        ran > 0
    }
}
