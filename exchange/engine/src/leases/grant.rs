//! The begin of a lease: granted at a match, and taken up by its broker.

use merit_terms::{LeaseId, Money, Refusal, Time};

use super::open::{Invocation, OpenLease};
use crate::Engine;
use crate::command::Bid;
use crate::deadlines::Deadline;
use crate::event::{Event, Lease, LeaseState, Resting};
use crate::matching::merit_order::Match;
use crate::reply::{Grant, Reply};
use crate::supply::quotas::worst_energy_mb_ms;
use crate::turn::Turn;

/// Time that a broker has to take up a match, in milliseconds.
const TAKE_UP_WITHIN_MS: u64 = 1_000;
/// Time that a lease keeps its capacity after its timeout, for its settle to arrive, in milliseconds.
const CAPACITY_GRACE_MS: u64 = 5_000;
/// Time after that in which it can still be settled, in milliseconds.
const SETTLE_WITHIN_MS: u64 = 10 * 60 * 1000;

/// Returns the deadline by which a match must be taken up.
pub(super) fn take_up_deadline(lease: &Lease) -> (Time, Deadline) {
    (lease.matched_at.after_millis(TAKE_UP_WITHIN_MS), Deadline::TakeUp(lease.id.sequence))
}

impl Engine {
    /// Matches a bid at once.
    pub(crate) fn acquire(&mut self, turn: &mut Turn<'_>, bid: &Bid) -> Result<Reply, Refusal> {
        if let Some(answered) = self.answered(bid)? {
            return Ok(answered);
        }
        self.check_bidder(bid)?;
        let best = self.best(bid, turn.at)?;
        let grant = self.lease(turn, bid, &best, None);
        Ok(Reply::Granted(Box::new(grant)))
    }

    /// Leases a match. A resting bid's lease is offered to its broker, with the whole hold of the bid.
    pub(crate) fn lease(
        &mut self,
        turn: &mut Turn<'_>,
        bid: &Bid,
        best: &Match,
        resting: Option<Box<Resting>>,
    ) -> Grant {
        let (winner, id) = (&best.winner, LeaseId { run: self.run, sequence: turn.sequence });
        let kind = self.kind_of(winner.provider);
        let function = self.registry.function(bid.function);
        let memory_mb = function.revision(best.revision).map_or(0, |revision| revision.code.memory_mb);
        let offer = self.shelf.offer(winner.slot);
        let (vcpus_milli, quota) = offer.map_or((0, None), |offer| (offer.vcpus_milli, offer.quota));
        let is_public = offer.is_some_and(|offer| self.shelf.is_public(offer));
        let shared = Invocation::of_bid(bid).map_or(Money::ZERO, |of| self.take_over_holds(of, kind));
        let capacity_until = turn.at.after_millis(u64::from(winner.timeout_ms) + CAPACITY_GRACE_MS);
        let lease = Lease {
            id,
            invocation: resting.as_ref().map(|resting| resting.id).or(bid.invocation).unwrap_or(id),
            attempt: bid.tried.len() as u32 + 1,
            account: bid.account,
            function: bid.function,
            revision: best.revision,
            provider: winner.provider,
            market: winner.market,
            offer: winner.offer,
            price: winner.price,
            tariff: winner.tariff,
            vcpus_milli,
            memory_mb,
            timeout_ms: winner.timeout_ms,
            quoted_cost: winner.cost,
            worst_cost: winner.worst_cost,
            hold: resting.as_ref().map_or(winner.worst_cost.max(shared), |resting| resting.hold),
            matched_at: turn.at,
            capacity_until,
            settle_by: capacity_until.after_millis(SETTLE_WITHIN_MS),
            runner_up: best.runner_up.map(|candidate| (candidate.provider, candidate.cost)),
            state: if resting.is_some() { LeaseState::Offered } else { LeaseState::Running },
            on_prior: winner.on_prior(),
            private: !is_public,
            claim: None,
            request: bid.request,
        };
        let grant = self.grant_of(&lease);
        let reserve = quota.map(|quota| {
            let worst = worst_energy_mb_ms(&lease.tariff, memory_mb, lease.timeout_ms);
            self.reserve(turn, lease.provider, quota, worst)
        });
        self.hold(&lease, lease.hold);
        self.begin(&lease);
        if let Some(revision) = self.registry.function_mut(bid.function).revision_mut(best.revision) {
            revision.note_served(winner.provider, best.runner_up.map(|candidate| candidate.provider));
        }
        turn.tell(Event::Granted(Box::new(lease.clone())));
        self.shelf.take(turn, winner.slot, bid.account, memory_mb);
        self.protect(turn, &lease);
        turn.deadlines.insert(capacity_until, Deadline::Lease(id.sequence));
        if lease.state == LeaseState::Offered {
            let (at, deadline) = take_up_deadline(&lease);
            turn.deadlines.insert(at, deadline);
        }
        self.leases.insert(OpenLease {
            lease,
            slot: Some(winner.slot),
            reserve,
            broke: None,
            given_up: false,
            resting,
        });
        grant
    }

    /// Returns the facts by which a broker dispatches a lease.
    pub(crate) fn grant_of(&self, lease: &Lease) -> Grant {
        Grant {
            terms: lease.terms(),
            session: self.registry.provider(lease.provider).session,
            quoted_cost: lease.quoted_cost,
            expires: lease.capacity_until,
            request: lease.request,
        }
    }

    /// Counts a lease that begins to run.
    fn begin(&mut self, lease: &Lease) {
        self.registry.function_mut(lease.function).begin_lease(lease.revision, lease.provider, lease.on_prior);
        self.ledger.account_mut(lease.account).begin_lease();
        self.registry.provider_mut(lease.provider).expose(lease.worst_cost);
        self.shelf.grant(lease);
    }

    /// Begins the run of an offered lease: the hold of its bid beyond the worst case is free.
    pub(crate) fn taken_up(&mut self, turn: &mut Turn<'_>, sequence: u64) -> Option<Lease> {
        let open = self.leases.at_mut(sequence)?;
        open.lease.state = LeaseState::Running;
        open.resting = None;
        let rest = open.lease.hold.saturating_sub(open.lease.worst_cost);
        open.lease.hold = open.lease.worst_cost;
        let lease = open.lease.clone();
        self.unhold(&lease, rest);
        let (at, deadline) = take_up_deadline(&lease);
        turn.deadlines.remove(at, deadline);
        Some(lease)
    }

    /// Pulls the offers of a provider whose leases reached the limit of its protection.
    fn protect(&mut self, turn: &mut Turn<'_>, lease: &Lease) {
        let provider = lease.provider;
        if self.registry.provider_mut(provider).trips_protection(turn.at) {
            self.shelf.cancel_all(turn, provider);
            turn.tell(Event::Protected { provider });
        }
    }
}
