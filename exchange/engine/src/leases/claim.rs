//! Claims: a provider says by proof what a lease used, and is paid if no broker settles it.

use merit_terms::{LeaseId, Money, Outcome, Refusal, Time, Usage};

use crate::Engine;
use crate::deadlines::Deadline;
use crate::event::{Ending, Event, Lease, LeaseState};
use crate::reply::Reply;
use crate::supply::quotas::energy_mb_ms;
use crate::turn::Turn;

impl Engine {
    /// Notes the claim of a provider; the first one stands. It is paid at once if its invocation was given up.
    pub(crate) fn claim(&mut self, turn: &mut Turn<'_>, id: LeaseId, usage: Usage) -> Result<Reply, Refusal> {
        let sent = self.leases.get_mut(id).filter(|open| open.lease.state != LeaseState::Offered);
        let open = sent.ok_or(Refusal::Closed)?;
        if open.lease.claim.is_none() {
            open.lease.claim = Some(usage);
            let given_up = open.given_up;
            turn.tell(Event::Claimed { lease: id, provider: open.lease.provider, usage });
            if given_up {
                self.give_up(turn, vec![id.sequence]);
            }
        }
        Ok(Reply::Done)
    }

    /// Marks attempts without an answer as given up: their claims are paid now, or on arrival.
    pub(super) fn give_up(&mut self, turn: &mut Turn<'_>, attempts: Vec<u64>) {
        for sequence in attempts {
            let Some(open) = self.leases.at_mut(sequence).filter(|open| open.lease.state == LeaseState::Unknown) else {
                continue;
            };
            open.given_up = true;
            let lease = open.lease.clone();
            if let Some(claim) = lease.claim
                && !self.has_later(&lease)
            {
                self.pay_claim(turn, sequence, claim);
            }
        }
    }

    /// Pays the claim of a lease that was not settled, up to what its broker saw, from the rest of the invocation's
    /// hold. Waits while a later attempt may yet be answered. A claim of nothing costs nothing.
    pub(super) fn pay_claim(&mut self, turn: &mut Turn<'_>, sequence: u64, claim: Usage) {
        let Some((lease, broke)) = self.leases.at(sequence).map(|open| (open.lease.clone(), open.broke)) else {
            return;
        };
        if let Some(later) = self.answered_later(&lease) {
            if let Some(open) = self.leases.at_mut(sequence) {
                open.lease.settle_by = later;
                turn.deadlines.insert(later, Deadline::Lease(sequence));
            }
            return;
        }
        if claim == Usage::default() {
            // The call came, and nothing ran.
            self.close(turn, sequence, Money::ZERO, None);
            turn.tell(Event::Ended { lease: Box::new(lease), how: Ending::NotSent });
            return;
        }
        let kind = self.kind_of(lease.provider);
        let observed_us = broke.map_or(u64::MAX, |broke| broke.after_us);
        let metered = Usage::metered(Some(claim), observed_us, lease.timeout_ms, 0, 0);
        // Its own failure earns a provider no more than an answer would.
        let most = if broke.is_some_and(|broke| broke.fault) { lease.quoted_cost } else { lease.worst_cost };
        let cost = self.bill(&lease, &metered, most).cost;
        let mut missing = cost.saturating_sub(lease.hold);
        let mut taken = lease.hold.min(cost);
        for sibling in self.siblings(self.leases.beside(&lease), kind) {
            let part = self.take_hold(sibling, missing);
            missing = missing.saturating_sub(part);
            taken = Money::from_picodollars(taken.picodollars() + part.picodollars()).unwrap_or(Money::MAX);
        }
        let settlement = self.bill(&lease, &metered, taken);
        let used = energy_mb_ms(&lease.tariff, lease.memory_mb, settlement.billed_ms);
        if let Some(lease) = self.close(turn, sequence, taken, Some(used)) {
            self.pay(turn, lease, Outcome::Ok, settlement, taken);
        }
    }

    /// Returns whether a later attempt may yet be answered.
    fn has_later(&self, lease: &Lease) -> bool {
        let others = self.leases.beside(lease);
        others
            .into_iter()
            .filter_map(|sequence| self.leases.at(sequence))
            .any(|open| open.lease.id.sequence > lease.id.sequence && open.lease.state != LeaseState::Unknown)
    }

    /// Returns the time just after the last settle of a later attempt that may yet be answered, if there is one.
    fn answered_later(&self, lease: &Lease) -> Option<Time> {
        let others = self.leases.beside(lease);
        let others = others.into_iter().filter_map(|sequence| self.leases.at(sequence)).map(|open| &open.lease);
        let answering = others.filter(|other| {
            let later = other.id.sequence > lease.id.sequence && other.settle_by >= lease.settle_by;
            later && other.state != LeaseState::Unknown
        });
        answering.map(|other| Time::from_micros(other.settle_by.micros() + 1)).max()
    }
}
