//! How a lease ends: settled by what it used, released unsent, unknown, claimed, or closed by the operator.
//!
//! Owns what is paid and what a provider learns and is blamed for; what a lease gives back is `leases`.

use merit_terms::{Execution, LeaseId, Metered, Money, Outcome, Refusal, Time, Usage};

use crate::Engine;
use crate::command::{NotSent, ProviderKind, Reply, Settle, Settlement};
use crate::event::{Ending, Event, Lease, LeaseState, Why};
use crate::money::{FEES, LOSSES};
use crate::prediction::durations::Observation;
use crate::supply::quotas::energy_mb_ms;

impl Engine {
    pub(crate) fn settle(&mut self, at: Time, command: &Settle, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        match command.execution {
            Execution::Executed => self.settle_executed(at, command, events),
            Execution::NotSent => self.release(at, command.lease, NotSent::Withdrawn, events),
            Execution::Unknown => self.settle_unknown(at, command, events),
        }
    }

    fn settle_executed(&mut self, at: Time, command: &Settle, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        let lease = self.ending(command.lease)?;
        let reported = command.reported.or(lease.claim);
        let metered = Usage::metered(reported, command.observed_us, lease.timeout_ms, command.egress_bytes);
        let most = match self.kind_of(lease.provider) {
            ProviderKind::Market => lease.hold,
            ProviderKind::Own => lease.worst_cost,
        };
        let settlement = self.bill(&lease, &metered, most);
        let cost = settlement.cost;
        let used = energy_mb_ms(&lease.tariff, lease.memory_mb, settlement.billed_ms);
        self.close(lease.id.sequence, cost, Some(used), events);
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

    /// What a lease costs by its tariff, at most `most`, and the operator's fee of it, which own providers do not pay.
    pub(crate) fn bill(&self, lease: &Lease, metered: &Metered, most: Money) -> Settlement {
        let cost = lease.tariff.cost(lease.memory_mb, lease.vcpus_milli, &metered.usage).min(most);
        let fee = match self.kind_of(lease.provider) {
            ProviderKind::Market => cost.share(self.fee_basis_points),
            ProviderKind::Own => Money::ZERO,
        };
        let billed_ms = lease.tariff.billed_ms(&metered.usage);
        Settlement { cost, fee, billed_ms, usage: metered.usage, estimated: metered.estimated }
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
                (LOSSES, seller, loss, Why::Loss { lease: id, invocation }),
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
        let mut lease = self.ending(command.lease)?;
        lease.state = LeaseState::Unknown;
        if let Some(open) = self.leases.get_mut(lease.id) {
            open.lease.state = LeaseState::Unknown;
        }
        self.blame(at, &lease, command.fault, events);
        events.push(Event::Ended { lease: Box::new(lease), how: Ending::Unknown });
        Ok(Reply::Done)
    }

    /// A provider's fault counts against it; anything else says nothing about it.
    fn blame(&mut self, at: Time, lease: &Lease, fault: bool, events: &mut Vec<Event>) {
        if fault {
            self.provider_failed(at, lease, events);
        } else {
            self.inconclusive(lease);
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
        let lease = self.ending(id)?;
        let slot = self.leases.get(id).and_then(|open| open.slot);
        let pool = slot.and_then(|slot| self.shelf.offer(slot)).map(|offer| offer.pool);
        self.close(id.sequence, Money::ZERO, None, events);
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
        self.leases.get(id).ok_or(Refusal::Closed)?;
        let lease = self.close(id.sequence, Money::ZERO, None, events).ok_or(Refusal::Closed)?;
        self.inconclusive(&lease);
        events.push(Event::Ended { lease: Box::new(lease), how: Ending::Closed });
        Ok(Reply::Done)
    }

    /// What a provider says that a lease used; the first word stands.
    pub(crate) fn claim(&mut self, id: LeaseId, usage: Usage, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        let sent = self.leases.get_mut(id).filter(|open| open.lease.state != LeaseState::Offered);
        let open = sent.ok_or(Refusal::Closed)?;
        if open.lease.claim.is_none() {
            open.lease.claim = Some(usage);
            events.push(Event::Claimed { lease: id, provider: open.lease.provider, usage });
        }
        Ok(Reply::Done)
    }

    /// The lease that its broker ends: taken up by that, if it was not yet.
    fn ending(&mut self, id: LeaseId) -> Result<Lease, Refusal> {
        let open = self.leases.get(id).ok_or_else(|| self.not_open(id))?;
        match open.lease.state {
            LeaseState::Unknown => return Err(Refusal::Closed),
            LeaseState::Offered => {}
            LeaseState::Running | LeaseState::Overdue => return Ok(open.lease.clone()),
        }
        self.taken_up(id.sequence).ok_or(Refusal::Closed)
    }

    /// Why a lease that is not open cannot be settled: a crash forgot it, or it is closed.
    pub(crate) fn not_open(&self, id: LeaseId) -> Refusal {
        if self.is_forgotten(id) && !self.leases.late.contains_key(&id) { Refusal::Forgotten } else { Refusal::Closed }
    }

    /// Whether a former run granted it above the last sequence of that run that is durable.
    pub(crate) fn is_forgotten(&self, id: LeaseId) -> bool {
        let next = self.leases.runs.partition_point(|(run, _)| *run <= id.run);
        self.leases.runs.get(next).is_some_and(|(_, began)| id.sequence >= *began)
    }

    /// The provider's duration for this revision, and how it compares with the others in general.
    pub(crate) fn learn(&mut self, at: Time, lease: &Lease, usage: &Usage) {
        let seen =
            Observation { usage: *usage, vcpus_milli: lease.vcpus_milli, at_s: (at.micros() / 1_000_000) as u32 };
        let function = &mut self.registry.functions[lease.function.index()];
        let Some(revision) = function.revision_mut(lease.revision) else { return };
        if let Some(ratio) = revision.durations.learn(lease.provider, &seen) {
            let general = &mut self.registry.providers[lease.provider.index()].general_ratio;
            *general = general.moved_towards(ratio);
            self.shelf.speeds.compare(lease.provider, *general);
        }
    }
}
