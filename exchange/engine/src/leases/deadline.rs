//! The two deadlines of a lease: its capacity returns, and it can be settled no more.

use merit_terms::Money;

use super::open::OpenLease;
use crate::Engine;
use crate::deadlines::Deadline;
use crate::event::{Ending, Event, LeaseState};
use crate::turn::Turn;

impl Engine {
    /// Runs the next deadline of a lease.
    pub(crate) fn lease_deadline(&mut self, turn: &mut Turn<'_>, sequence: u64) {
        let costs_nothing =
            |open: &OpenLease| open.broke.is_some_and(|broke| !broke.can_claim) && open.lease.claim.is_none();
        if self.leases.at(sequence).is_some_and(costs_nothing) {
            self.close(turn, sequence, Money::ZERO, None);
            return;
        }
        let Some(open) = self.leases.at_mut(sequence) else { return };
        if let Some(slot) = open.slot.take() {
            if open.lease.state != LeaseState::Unknown {
                open.lease.state = LeaseState::Overdue;
            }
            let lease = open.lease.clone();
            turn.deadlines.insert(lease.settle_by, Deadline::Lease(sequence));
            self.inconclusive(&lease);
            return self.return_capacity(turn, &lease, Some(slot));
        }
        match open.lease.claim {
            Some(claim) => self.pay_claim(turn, sequence, claim),
            None => {
                if let Some(lease) = self.close(turn, sequence, Money::ZERO, None)
                    && lease.state != LeaseState::Unknown
                {
                    turn.tell(Event::Ended { lease: Box::new(lease), how: Ending::Expired });
                }
            }
        }
    }
}
