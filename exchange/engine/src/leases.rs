//! The life of a lease: granted at a match, then settled, released, closed, or expired at its two deadlines.
//!
//! Owns the open leases. A closed lease is gone from here; its record is a projection.

use std::collections::BTreeMap;

use merit_terms::{Execution, LeaseId, Money, Outcome, ProviderId, Refusal, Time, Usage};
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::bids::TAKE_UP_WITHIN_MS;
use crate::book::OfferSlot;
use crate::command::{Bid, BrokerRequest, Grant, NotSent, ProviderKind, Reply, Settle, Settlement};
use crate::due::Due;
use crate::durations::Observation;
use crate::event::{Ending, Event, Lease, LeaseState, Resting, Why};
use crate::ledger::FEES;
use crate::matching::Best;
use crate::quotas::{Reserve, energy_mb_ms, worst_energy_mb_ms};

/// How long after its timeout a lease keeps its capacity: what a settle may take to arrive.
const CAPACITY_GRACE_MS: u64 = 5_000;
/// How long after that it can still be settled.
const SETTLE_WITHIN_MS: u64 = 10 * 60 * 1000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OpenLease {
    pub(crate) lease: Lease,
    /// None once its capacity has returned.
    pub(crate) slot: Option<OfferSlot>,
    pub(crate) reserve: Option<Reserve>,
    /// The deferred bid that it was matched with, until its broker takes it up.
    pub(crate) resting: Option<Box<Resting>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Leases {
    pub(crate) open: BTreeMap<u64, OpenLease>,
    /// Of each invocation, its leases in state Unknown, in order of their match.
    pub(crate) unknown: BTreeMap<LeaseId, Vec<u64>>,
    pub(crate) by_request: BTreeMap<BrokerRequest, u64>,
    /// Each run, and the sequence at which it began.
    pub(crate) runs: Vec<(u32, u64)>,
    /// Forgotten leases that were settled, until nobody may settle them any more.
    pub(crate) late: BTreeMap<LeaseId, Time>,
}

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
        if let Some(request) = bid.request {
            self.online(request.session)?;
            if let Some(sequence) = self.leases.by_request.get(&request) {
                return Ok(Reply::Granted(Box::new(self.grant_of(&self.leases.open[sequence].lease))));
            }
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
        let shared = bid.invocation.map_or(Money::ZERO, |invocation| self.take_over_holds(bid, invocation, kind));
        let capacity_until = at.after_millis(u64::from(winner.timeout_ms) + CAPACITY_GRACE_MS);
        let hold = match &resting {
            Some(resting) => resting.hold,
            None if kind == ProviderKind::Own && self.rules == 1 => Money::ZERO,
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
        self.shelf.take(winner.slot, memory_mb, sequence, &self.registry, events);
        self.protect(at, lease.provider, events);
        self.dues.insert((capacity_until, Due::Lease(sequence)));
        if let Some(request) = lease.request {
            self.leases.by_request.insert(request, sequence);
        }
        self.leases.open.insert(sequence, OpenLease { lease, slot: Some(winner.slot), reserve, resting });
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

    pub(crate) fn settle(&mut self, at: Time, command: &Settle, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        match command.execution {
            Execution::Executed => self.settle_executed(at, command, events),
            Execution::NotSent => self.release(at, command.lease, NotSent::Withdrawn, events),
            Execution::Unknown => self.settle_unknown(at, command, events),
        }
    }

    fn settle_executed(&mut self, at: Time, command: &Settle, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        self.open_mut(command.lease)?;
        self.taken_up(command.lease.sequence);
        let lease = self.open_mut(command.lease)?.lease.clone();
        let reported = command.reported.or(lease.claim);
        let metered = Usage::metered(reported, command.observed_us, lease.timeout_ms, command.egress_bytes);
        let moves_money = self.kind_of(lease.provider) == ProviderKind::Market;
        let cost = lease.tariff.cost(lease.memory_mb, lease.vcpus_milli, &metered.usage);
        let cost = match (moves_money, self.rules) {
            (true, _) => cost.min(lease.hold),
            (false, 1) => cost,
            (false, _) => cost.min(lease.worst_cost),
        };
        let fee = if moves_money { cost.share(self.fee_basis_points) } else { Money::ZERO };
        let settlement = Settlement {
            cost,
            fee,
            billed_ms: lease.tariff.billed_ms(&metered.usage),
            usage: metered.usage,
            estimated: metered.estimated,
        };
        let used = energy_mb_ms(&lease.tariff, lease.memory_mb, settlement.billed_ms);
        let lease = self.close(command.lease.sequence, cost, Some(used), events)?;
        if command.fault {
            self.blame(at, &lease, false, events);
        } else {
            self.provider_answered(&lease, events);
        }
        if matches!(command.outcome, Outcome::Ok | Outcome::Timeout) && !metered.estimated {
            self.learn(at, &lease, &metered.usage);
        }
        self.pay(lease, command.outcome, settlement, cost, events);
        Ok(Reply::Settled(settlement))
    }

    /// The buyer pays what of the cost is `from_buyer`, the operator the rest; the fee comes out of the seller's revenue. A
    /// trade.
    pub(crate) fn pay(
        &mut self,
        lease: Lease,
        outcome: Outcome,
        settlement: Settlement,
        from_buyer: Money,
        events: &mut Vec<Event>,
    ) {
        let provider = &self.registry.providers[lease.provider.index()];
        let seller = provider.account;
        let (id, invocation) = (lease.id, lease.invocation);
        if provider.kind == ProviderKind::Market {
            let loss = settlement.cost.saturating_sub(from_buyer);
            let entries = [
                (lease.account, seller, from_buyer, Why::Cost { lease: id, invocation }),
                (self.losses, seller, loss, Why::Loss { lease: id, invocation }),
                (seller, FEES, settlement.fee, Why::Fee { lease: id, invocation }),
            ];
            for (from, to, amount, why) in entries {
                if amount > Money::ZERO {
                    self.ledger.transfer(from, to, amount);
                    events.push(Event::Moved { from, to, amount, why });
                }
            }
        }
        self.count_spending(&lease, |spending, calendar| spending.spend(from_buyer, lease.matched_at, calendar));
        let market = &mut self.registry.markets[lease.market.index()];
        market.trades += 1;
        if settlement.cost > Money::ZERO && seller != lease.account {
            market.spot_price = Some(lease.price);
        }
        let spot_price = market.spot_price;
        events.push(Event::Settled { lease: Box::new(lease), outcome, settlement, spot_price });
    }

    /// No answer came. What was sent may still run, so its capacity stays taken until its deadline, and its hold until
    /// nobody may claim it any more.
    fn settle_unknown(&mut self, at: Time, command: &Settle, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        let sequence = command.lease.sequence;
        self.open_mut(command.lease)?;
        self.taken_up(sequence);
        if self.rules == 1 {
            return self.settle_unknown_plainly(command.lease, events);
        }
        let open = self.open_mut(command.lease)?;
        open.lease.state = LeaseState::Unknown;
        let lease = open.lease.clone();
        self.remember_unknown(&lease);
        self.blame(at, &lease, command.fault, events);
        events.push(Event::Ended { lease: Box::new(lease), how: Ending::Unknown });
        Ok(Reply::Done)
    }

    /// By rules 1 its hold closes at once.
    fn settle_unknown_plainly(&mut self, id: LeaseId, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        let open = self.open_mut(id)?;
        if open.slot.is_none() {
            let lease = self.close(id.sequence, Money::ZERO, None, events)?;
            events.push(Event::Ended { lease: Box::new(lease), how: Ending::Unknown });
            return Ok(Reply::Done);
        }
        open.lease.state = LeaseState::Unknown;
        let before = open.lease.clone();
        open.lease.hold = Money::ZERO;
        let lease = open.lease.clone();
        self.remember_unknown(&lease);
        self.unhold(&before, before.hold);
        events.push(Event::Ended { lease: Box::new(lease), how: Ending::Unknown });
        Ok(Reply::Done)
    }

    /// A provider's fault counts against it; anything else says nothing about it.
    fn blame(&mut self, at: Time, lease: &Lease, fault: bool, events: &mut Vec<Event>) {
        if fault && self.rules > 1 {
            self.provider_failed(at, lease, events);
        } else {
            self.registry.providers[lease.provider.index()].health.inconclusive(lease);
        }
    }

    /// Nothing was sent: costs 0.
    pub(crate) fn release(
        &mut self,
        at: Time,
        id: LeaseId,
        why: NotSent,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let slot = self.open_mut(id)?.slot;
        self.taken_up(id.sequence);
        let pool = slot.and_then(|slot| self.shelf.offer(slot)).map(|offer| offer.pool);
        let lease = self.close(id.sequence, Money::ZERO, None, events)?;
        self.blame(at, &lease, why == NotSent::Failed, events);
        if why == NotSent::Busy
            && let Some(pool) = pool
        {
            self.shelf.busy(pool, events);
        }
        events.push(Event::Ended { lease: Box::new(lease), how: Ending::NotSent });
        Ok(Reply::Done)
    }

    /// The operator closes a lease in whatever state.
    pub(crate) fn close_lease(&mut self, id: LeaseId, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        if self.leases.open.get(&id.sequence).is_none_or(|open| open.lease.id != id) {
            return Err(Refusal::Closed);
        }
        let lease = self.close(id.sequence, Money::ZERO, None, events)?;
        self.registry.providers[lease.provider.index()].health.inconclusive(&lease);
        events.push(Event::Ended { lease: Box::new(lease), how: Ending::Closed });
        Ok(Reply::Done)
    }

    /// What a provider says that a lease used; the first word stands.
    pub(crate) fn claim(&mut self, id: LeaseId, usage: Usage, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        let known = |open: &&mut OpenLease| open.lease.id == id && open.lease.state != LeaseState::Offered;
        let Some(open) = self.leases.open.get_mut(&id.sequence).filter(known) else {
            return Err(Refusal::Closed);
        };
        if open.lease.claim.is_none() {
            open.lease.claim = Some(usage);
            events.push(Event::Claimed { lease: id, provider: open.lease.provider, usage });
        }
        Ok(Reply::Done)
    }

    fn open_mut(&mut self, id: LeaseId) -> Result<&mut OpenLease, Refusal> {
        let refusal = self.not_open(id);
        self.leases
            .open
            .get_mut(&id.sequence)
            .filter(|open| open.lease.id == id && open.lease.state != LeaseState::Unknown)
            .ok_or(refusal)
    }

    /// Why a lease that is not open cannot be settled: a crash forgot it, or it is closed.
    pub(crate) fn not_open(&self, id: LeaseId) -> Refusal {
        if self.is_forgotten(id) && !self.leases.late.contains_key(&id) { Refusal::Forgotten } else { Refusal::Closed }
    }

    /// Whether a former run granted it above the last sequence of that run that is durable.
    pub(crate) fn is_forgotten(&self, id: LeaseId) -> bool {
        let next = self.leases.runs.partition_point(|(run, _)| *run <= id.run);
        self.rules > 1 && self.leases.runs.get(next).is_some_and(|(_, began)| id.sequence >= *began)
    }

    /// The broker has the lease: what its bid held beyond the worst case is free.
    pub(crate) fn taken_up(&mut self, sequence: u64) {
        let Some(open) = self.leases.open.get_mut(&sequence) else { return };
        if open.lease.state != LeaseState::Offered {
            return;
        }
        open.lease.state = LeaseState::Running;
        open.resting = None;
        let rest = open.lease.hold.saturating_sub(open.lease.worst_cost);
        open.lease.hold = open.lease.worst_cost;
        let lease = open.lease.clone();
        self.unhold(&lease, rest);
        self.dues.remove(&take_up_due(&lease));
    }

    /// Takes a lease out that cost `cost` and used so much of its quota: whatever else it has returns.
    pub(crate) fn close(
        &mut self,
        sequence: u64,
        cost: Money,
        used_mb_ms: Option<u64>,
        events: &mut Vec<Event>,
    ) -> Result<Lease, Refusal> {
        let OpenLease { lease, slot, reserve, .. } = self.leases.open.remove(&sequence).ok_or(Refusal::Closed)?;
        let due = if slot.is_some() { lease.capacity_until } else { lease.settle_by };
        self.dues.remove(&(due, Due::Lease(sequence)));
        if lease.state == LeaseState::Offered {
            self.dues.remove(&take_up_due(&lease));
        }
        if let Some(request) = lease.request {
            self.leases.by_request.remove(&request);
        }
        self.forget_unknown(&lease);
        self.unhold(&lease, lease.hold);
        self.leave_hold(&lease, lease.hold.saturating_sub(cost));
        if let Some(reserve) = reserve {
            self.unreserve(lease.provider, reserve, used_mb_ms);
        }
        let exposure = &mut self.registry.providers[lease.provider.index()].exposure;
        *exposure -= u128::from(lease.worst_cost.picodollars());
        self.return_capacity(&lease, slot, events);
        Ok(lease)
    }

    fn remember_unknown(&mut self, lease: &Lease) {
        let unknown = self.leases.unknown.entry(lease.invocation).or_default();
        unknown.insert(unknown.partition_point(|sequence| *sequence < lease.id.sequence), lease.id.sequence);
    }

    fn forget_unknown(&mut self, lease: &Lease) {
        if lease.state == LeaseState::Unknown
            && let Some(unknown) = self.leases.unknown.get_mut(&lease.invocation)
        {
            unknown.retain(|sequence| *sequence != lease.id.sequence);
            if unknown.is_empty() {
                self.leases.unknown.remove(&lease.invocation);
            }
        }
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
        self.wake_bids();
    }

    /// One of a lease's two deadlines has come.
    pub(crate) fn lease_due(&mut self, sequence: u64, events: &mut Vec<Event>) {
        let Some(open) = self.leases.open.get_mut(&sequence) else { return };
        if self.rules == 1 && open.lease.state == LeaseState::Unknown {
            drop(self.close(sequence, Money::ZERO, None, events));
            return;
        }
        if let Some(slot) = open.slot.take() {
            if open.lease.state != LeaseState::Unknown {
                open.lease.state = LeaseState::Overdue;
            }
            let lease = open.lease.clone();
            self.dues.insert((lease.settle_by, Due::Lease(sequence)));
            self.registry.providers[lease.provider.index()].health.inconclusive(&lease);
            return self.return_capacity(&lease, Some(slot), events);
        }
        match open.lease.claim {
            Some(claim) => self.pay_claim(sequence, claim, events),
            None => {
                if let Ok(lease) = self.close(sequence, Money::ZERO, None, events)
                    && lease.state != LeaseState::Unknown
                {
                    events.push(Event::Ended { lease: Box::new(lease), how: Ending::Expired });
                }
            }
        }
    }

    /// The provider's duration for this revision, and how it compares with the others in general.
    pub(crate) fn learn(&mut self, at: Time, lease: &Lease, usage: &Usage) {
        let seen = Observation {
            usage: *usage,
            vcpus_milli: lease.vcpus_milli,
            at_s: (at.micros() / 1_000_000) as u32,
            plainly: self.rules == 1,
        };
        let function = &mut self.registry.functions[lease.function.index()];
        let Some(revision) = function.revision_mut(lease.revision) else { return };
        if let Some(ratio) = revision.durations.learn(lease.provider, &seen) {
            self.registry.compare(lease.provider, ratio);
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
            self.shelf.cancel(id, |_| true, &mut self.registry, &mut self.dues, events);
            events.push(Event::Protected { provider: id });
        }
    }
}
