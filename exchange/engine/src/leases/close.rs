//! The close of a lease: its hold, quota, exposure and capacity return.

use merit_terms::Money;

use super::grant::take_up_deadline;
use super::open::OpenLease;
use crate::Engine;
use crate::deadlines::{Deadline, OfferSlot};
use crate::event::{Lease, LeaseState};
use crate::turn::Turn;

impl Engine {
    /// Takes out a lease that cost `cost` and used so much energy of its quota, or none of it. All that it held
    /// returns.
    pub(crate) fn close(
        &mut self,
        turn: &mut Turn<'_>,
        sequence: u64,
        cost: Money,
        used_mb_ms: Option<u64>,
    ) -> Option<Lease> {
        let OpenLease { lease, slot, reserve, .. } = self.leases.remove(sequence)?;
        let due = if slot.is_some() { lease.capacity_until } else { lease.settle_by };
        turn.deadlines.remove(due, Deadline::Lease(sequence));
        if lease.state == LeaseState::Offered {
            let (at, deadline) = take_up_deadline(&lease);
            turn.deadlines.remove(at, deadline);
        }
        self.unhold(&lease, lease.hold);
        self.leave_hold(&lease, lease.hold.saturating_sub(cost));
        if let Some(reserve) = reserve {
            self.unreserve(lease.provider, reserve, used_mb_ms);
        }
        self.registry.provider_mut(lease.provider).unexpose(lease.worst_cost);
        if self.shelf.is_watched() {
            self.wake_exposed(lease.provider);
        }
        self.return_capacity(turn, &lease, slot);
        Some(lease)
    }

    /// Returns the memory and the slot of a lease, if it still has them.
    pub(super) fn return_capacity(&mut self, turn: &mut Turn<'_>, lease: &Lease, slot: Option<OfferSlot>) {
        let Some(slot) = slot else { return };
        self.shelf.give_back(turn, slot, lease.account, lease.memory_mb);
        self.ledger.account_mut(lease.account).end_lease();
        self.registry.function_mut(lease.function).end_lease(lease.revision, lease.provider, lease.on_prior);
        if self.shelf.is_watched() {
            self.wake_bids();
            self.wake_concurrent(lease);
        }
    }
}
