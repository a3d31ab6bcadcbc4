//! The life of a lease: granted at a match, taken up, closed, and what is due at its two deadlines.
//!
//! Who ends it and what is paid is `settling`.

use merit_terms::{LeaseId, Money, ProviderId, Refusal, Time};

use crate::Engine;
use crate::command::{Bid, Grant, Reply};
use crate::demand::TAKE_UP_WITHIN_MS;
use crate::dues::Due;
use crate::event::{Ending, Event, Lease, LeaseState, Resting};
use crate::leases::open::{Call, OpenLease};
use crate::matching::Best;
use crate::supply::OfferSlot;
use crate::supply::quotas::worst_energy_mb_ms;

/// How long after its timeout a lease keeps its capacity: what a settle may take to arrive.
const CAPACITY_GRACE_MS: u64 = 5_000;
/// How long after that it can still be settled.
const SETTLE_WITHIN_MS: u64 = 10 * 60 * 1000;

/// When a match must be taken up.
fn take_up_due(lease: &Lease) -> (Time, Due) {
    (lease.matched_at.after_millis(TAKE_UP_WITHIN_MS), Due::TakeUp(lease.id.sequence))
}

impl Engine {
    pub(crate) fn acquire(
        &mut self,
        at: Time,
        sequence: u64,
        bid: &Bid,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        if let Some(answered) = self.answered(bid)? {
            return Ok(answered);
        }
        self.check_bidder(bid)?;
        let best = self.best(bid, at)?;
        let grant = self.lease(at, sequence, bid, &best, None, events);
        Ok(Reply::Granted(Box::new(grant)))
    }

    /// Leases what was found. A resting bid's lease is offered to its broker, with all that the bid holds.
    pub(crate) fn lease(
        &mut self,
        at: Time,
        sequence: u64,
        bid: &Bid,
        best: &Best,
        resting: Option<Box<Resting>>,
        events: &mut Vec<Event>,
    ) -> Grant {
        let (winner, id) = (&best.winner, LeaseId { run: self.run, sequence });
        let kind = self.kind_of(winner.provider);
        let function = &self.registry.functions[bid.function.index()];
        let memory_mb = function.revision(best.revision).map_or(0, |revision| revision.code.memory_mb);
        let (vcpus_milli, quota) =
            self.shelf.offer(winner.slot).map_or((0, None), |offer| (offer.vcpus_milli, offer.quota));
        let shared = Call::of_bid(bid).map_or(Money::ZERO, |call| self.take_over_holds(call, kind));
        let capacity_until = at.after_millis(u64::from(winner.timeout_ms) + CAPACITY_GRACE_MS);
        let hold = match &resting {
            Some(resting) => resting.hold,
            None => winner.worst_cost.max(shared),
        };
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
            hold,
            matched_at: at,
            capacity_until,
            settle_by: capacity_until.after_millis(SETTLE_WITHIN_MS),
            runner_up: best.runner_up.map(|candidate| (candidate.provider, candidate.cost)),
            state: if resting.is_some() { LeaseState::Offered } else { LeaseState::Running },
            on_prior: winner.on_prior,
            claim: None,
            request: bid.request,
        };
        let grant = self.grant_of(&lease);
        let reserve = quota.map(|quota| {
            let worst = worst_energy_mb_ms(&lease.tariff, memory_mb, lease.timeout_ms);
            self.reserve(lease.provider, quota, worst)
        });
        self.hold(&lease, lease.hold);
        self.begin(&lease);
        if let Some(revision) = self.registry.functions[bid.function.index()].revision_mut(best.revision) {
            revision.served_last = [Some(winner.provider), best.runner_up.map(|candidate| candidate.provider)];
        }
        events.push(Event::Granted(Box::new(lease.clone())));
        self.shelf.take(winner.slot, memory_mb, sequence, events);
        self.protect(at, lease.provider, events);
        self.dues.insert((capacity_until, Due::Lease(sequence)));
        self.leases.insert(OpenLease { lease, slot: Some(winner.slot), reserve, resting });
        grant
    }

    /// What the broker needs to dispatch a lease.
    pub(crate) fn grant_of(&self, lease: &Lease) -> Grant {
        Grant {
            terms: lease.terms(),
            session: self.registry.providers[lease.provider.index()].session,
            quoted_cost: lease.quoted_cost,
            expires: lease.capacity_until,
            request: lease.request,
        }
    }

    /// Counts a lease that begins to run.
    fn begin(&mut self, lease: &Lease) {
        let function = &mut self.registry.functions[lease.function.index()];
        function.running += 1;
        if lease.on_prior
            && let Some(revision) = function.revision_mut(lease.revision)
        {
            *revision.probes.entry(lease.provider).or_default() += 1;
        }
        self.ledger.of(lease.account).running += 1;
        let provider = &mut self.registry.providers[lease.provider.index()];
        provider.exposure += u128::from(lease.worst_cost.picodollars());
        provider.health.grant(lease);
    }

    /// The broker has a lease that was offered: what its bid held beyond the worst case is free.
    pub(crate) fn taken_up(&mut self, sequence: u64) -> Option<Lease> {
        let open = self.leases.open.get_mut(&sequence)?;
        open.lease.state = LeaseState::Running;
        open.resting = None;
        let rest = open.lease.hold.saturating_sub(open.lease.worst_cost);
        open.lease.hold = open.lease.worst_cost;
        let lease = open.lease.clone();
        self.unhold(&lease, rest);
        self.dues.remove(&take_up_due(&lease));
        Some(lease)
    }

    /// Takes a lease out that cost `cost` and used so much of its quota: whatever else it has returns.
    pub(crate) fn close(
        &mut self,
        sequence: u64,
        cost: Money,
        used_mb_ms: Option<u64>,
        events: &mut Vec<Event>,
    ) -> Option<Lease> {
        let OpenLease { lease, slot, reserve, .. } = self.leases.remove(sequence)?;
        let due = if slot.is_some() { lease.capacity_until } else { lease.settle_by };
        self.dues.remove(&(due, Due::Lease(sequence)));
        if lease.state == LeaseState::Offered {
            self.dues.remove(&take_up_due(&lease));
        }
        self.unhold(&lease, lease.hold);
        self.leave_hold(&lease, lease.hold.saturating_sub(cost));
        if let Some(reserve) = reserve {
            self.unreserve(lease.provider, reserve, used_mb_ms);
        }
        let exposure = &mut self.registry.providers[lease.provider.index()].exposure;
        *exposure -= u128::from(lease.worst_cost.picodollars());
        if self.shelf.watched {
            self.wake_exposed(lease.provider);
        }
        self.return_capacity(&lease, slot, events);
        Some(lease)
    }

    pub(crate) fn return_capacity(&mut self, lease: &Lease, slot: Option<OfferSlot>, events: &mut Vec<Event>) {
        let Some(slot) = slot else { return };
        self.shelf.give_back(slot, lease.memory_mb, events);
        self.ledger.of(lease.account).running -= 1;
        let function = &mut self.registry.functions[lease.function.index()];
        function.running -= 1;
        if lease.on_prior
            && let Some(revision) = function.revision_mut(lease.revision)
            && let Some(probes) = revision.probes.get_mut(&lease.provider)
        {
            *probes -= 1;
            if *probes == 0 {
                revision.probes.remove(&lease.provider);
            }
        }
        if self.shelf.watched {
            self.wake_bids();
            self.wake_concurrent(lease);
        }
    }

    /// One of a lease's two deadlines has come.
    pub(crate) fn lease_due(&mut self, sequence: u64, events: &mut Vec<Event>) {
        let Some(open) = self.leases.open.get_mut(&sequence) else { return };
        if let Some(slot) = open.slot.take() {
            if open.lease.state != LeaseState::Unknown {
                open.lease.state = LeaseState::Overdue;
            }
            let lease = open.lease.clone();
            self.dues.insert((lease.settle_by, Due::Lease(sequence)));
            self.inconclusive(&lease);
            return self.return_capacity(&lease, Some(slot), events);
        }
        match open.lease.claim {
            Some(claim) => self.pay_claim(sequence, claim, events),
            None => {
                if let Some(lease) = self.close(sequence, Money::ZERO, None, events)
                    && lease.state != LeaseState::Unknown
                {
                    events.push(Event::Ended { lease: Box::new(lease), how: Ending::Expired });
                }
            }
        }
    }

    /// Pulls a provider's offers that was leased as fast as it asked to be protected from.
    fn protect(&mut self, at: Time, id: ProviderId, events: &mut Vec<Event>) {
        let provider = &mut self.registry.providers[id.index()];
        let Some(protection) = provider.protection else { return };
        provider.leased_at.push_back(at);
        while provider.leased_at.front().is_some_and(|then| then.after_millis(protection.within_ms.into()) <= at) {
            provider.leased_at.pop_front();
        }
        if provider.leased_at.len() >= protection.leases as usize {
            provider.leased_at.clear();
            self.shelf.cancel(id, |_| true, &mut self.dues, events);
            events.push(Event::Protected { provider: id });
        }
    }
}
