//! The life of a lease: granted at a match, then settled, released, or expired at its two deadlines.
//!
//! Owns the open leases and their deadlines. A closed lease is gone from here; its record is a projection.

use std::collections::{BTreeMap, BTreeSet};

use merit_terms::{Execution, LeaseId, Money, Outcome, Refusal, Time, Usage};

use crate::Engine;
use crate::book::OfferSlot;
use crate::command::{Bid, Grant, ProviderKind, Reply, Settle, Settlement};
use crate::estimate::{Estimate, LogDuration, median};
use crate::event::{Ending, Event, Lease, LeaseState, Why};
use crate::ledger::FEES;

/// How long after its timeout a lease keeps its capacity: what a settle may take to arrive.
const CAPACITY_GRACE_MS: u64 = 5_000;
/// How long after that it can still be settled.
const SETTLE_WITHIN_MS: u64 = 10 * 60 * 1000;
/// The most expiries that run before one command; the rest run before the next ones.
pub const EXPIRIES_MAX: usize = 64;

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct OpenLease {
    pub(crate) lease: Lease,
    /// None once its capacity has returned.
    slot: Option<OfferSlot>,
}

#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Leases {
    pub(crate) open: BTreeMap<u64, OpenLease>,
    /// When something is due, and for which lease.
    pub(crate) due: BTreeSet<(Time, u64)>,
}

impl Engine {
    pub(crate) fn acquire(
        &mut self,
        at: Time,
        sequence: u64,
        bid: &Bid,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let best = self.best(bid)?;
        let winner = best.winner;
        let Some(offer) = self.shelf.offer(winner.slot) else {
            return Err(Refusal::Closed);
        };
        let id = LeaseId { run: self.run, sequence };
        let function = &self.registry.functions[bid.function.index()];
        let memory_mb = function.revision(best.revision).map_or(0, |revision| revision.code.memory_mb);
        let provider = &self.registry.providers[winner.provider.index()];
        let holds = provider.kind == ProviderKind::Market;
        let capacity_until = at.after_millis(u64::from(winner.timeout_ms) + CAPACITY_GRACE_MS);
        let lease = Lease {
            id,
            invocation: bid.invocation.unwrap_or(id),
            attempt: bid.tried.len() as u32 + 1,
            account: bid.account,
            function: bid.function,
            revision: best.revision,
            provider: winner.provider,
            market: winner.market,
            offer: winner.offer,
            price: winner.price,
            tariff: winner.tariff,
            vcpus_milli: offer.rung.vcpus_milli,
            memory_mb,
            timeout_ms: winner.timeout_ms,
            quoted_cost: winner.cost,
            worst_cost: winner.worst_cost,
            hold: if holds { winner.worst_cost } else { Money::ZERO },
            matched_at: at,
            capacity_until,
            settle_by: capacity_until.after_millis(SETTLE_WITHIN_MS),
            runner_up: best.runner_up.map(|candidate| (candidate.provider, candidate.cost)),
            state: LeaseState::Running,
            on_prior: winner.on_prior,
            claim: None,
            request: bid.request,
        };
        let grant = Grant {
            terms: lease.terms(),
            session: provider.session,
            quoted_cost: lease.quoted_cost,
            expires: lease.capacity_until,
            request: lease.request,
        };
        self.open_lease(lease, winner.slot, events);
        Ok(Reply::Granted(Box::new(grant)))
    }

    fn open_lease(&mut self, lease: Lease, slot: OfferSlot, events: &mut Vec<Event>) {
        let sequence = lease.id.sequence;
        self.ledger.of(lease.account).hold(lease.hold);
        let function = &mut self.registry.functions[lease.function.index()];
        function.running += 1;
        if lease.on_prior
            && let Some(revision) = function.revision_mut(lease.revision)
        {
            *revision.probes.entry(lease.provider).or_default() += 1;
        }
        events.push(Event::Granted(Box::new(lease.clone())));
        self.shelf.take(slot, lease.memory_mb, sequence, &self.registry, events);
        self.leases.due.insert((lease.capacity_until, sequence));
        self.leases.open.insert(sequence, OpenLease { lease, slot: Some(slot) });
    }

    pub(crate) fn settle(&mut self, command: &Settle, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        match command.execution {
            Execution::Executed => self.settle_executed(command, events),
            Execution::NotSent => self.release(command.lease, false, events),
            Execution::Unknown => self.settle_unknown(command.lease, events),
        }
    }

    fn settle_executed(&mut self, command: &Settle, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        let lease = self.close(command.lease, events)?;
        let metered = Usage::metered(command.reported, command.observed_us, lease.timeout_ms, command.egress_bytes);
        let provider = &self.registry.providers[lease.provider.index()];
        let (seller, moves_money) = (provider.account, provider.kind == ProviderKind::Market);
        let cost = lease.tariff.cost(lease.memory_mb, lease.vcpus_milli, &metered.usage);
        let cost = if moves_money { cost.min(lease.hold) } else { cost };
        let fee = if moves_money { cost.share(self.fee_basis_points) } else { Money::ZERO };
        if moves_money {
            self.pay(&lease, seller, cost, fee, events);
        }
        if matches!(command.outcome, Outcome::Ok | Outcome::Timeout) && !metered.estimated {
            self.learn(&lease, &metered.usage);
        }
        let market = &mut self.registry.markets[lease.market.index()];
        market.trades += 1;
        if cost > Money::ZERO && seller != lease.account {
            market.spot_price = Some(lease.price);
        }
        let settlement = Settlement {
            cost,
            fee,
            billed_ms: lease.tariff.billed_ms(&metered.usage),
            usage: metered.usage,
            estimated: metered.estimated,
        };
        let spot_price = market.spot_price;
        events.push(Event::Settled { lease: Box::new(lease), outcome: command.outcome, settlement, spot_price });
        Ok(Reply::Settled(settlement))
    }

    /// The buyer pays the cost, the operator's fee comes out of the seller's revenue.
    fn pay(&mut self, lease: &Lease, seller: merit_terms::AccountId, cost: Money, fee: Money, events: &mut Vec<Event>) {
        let (id, invocation) = (lease.id, lease.invocation);
        let entries = [
            (lease.account, seller, cost, Why::Cost { lease: id, invocation }),
            (seller, FEES, fee, Why::Fee { lease: id, invocation }),
        ];
        for (from, to, amount, why) in entries {
            if amount > Money::ZERO {
                self.ledger.transfer(from, to, amount);
                events.push(Event::Moved { from, to, amount, why });
            }
        }
    }

    /// No answer came: costs 0, but what was sent may still run, so its capacity stays taken until its deadline.
    fn settle_unknown(&mut self, id: LeaseId, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        let open = self.open_mut(id)?;
        if open.slot.is_none() {
            let lease = self.close(id, events)?;
            events.push(Event::Ended { lease: Box::new(lease), how: Ending::Unknown });
            return Ok(Reply::Done);
        }
        open.lease.state = LeaseState::Unknown;
        let (account, hold) = (open.lease.account, std::mem::take(&mut open.lease.hold));
        let lease = open.lease.clone();
        self.ledger.of(account).unhold(hold);
        events.push(Event::Ended { lease: Box::new(lease), how: Ending::Unknown });
        Ok(Reply::Done)
    }

    /// Nothing was sent: costs 0. `busy`: the provider takes no more until it states its pools again.
    pub(crate) fn release(&mut self, id: LeaseId, busy: bool, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        let slot = self.open_mut(id)?.slot;
        let pool = slot.and_then(|slot| self.shelf.offer(slot)).map(|offer| offer.pool);
        let lease = self.close(id, events)?;
        if busy && let Some(pool) = pool {
            self.shelf.busy(pool, events);
        }
        events.push(Event::Ended { lease: Box::new(lease), how: Ending::NotSent });
        Ok(Reply::Done)
    }

    fn open_mut(&mut self, id: LeaseId) -> Result<&mut OpenLease, Refusal> {
        self.leases
            .open
            .get_mut(&id.sequence)
            .filter(|open| open.lease.id == id && open.lease.state != LeaseState::Unknown)
            .ok_or(Refusal::Closed)
    }

    /// Takes the lease out: its hold and whatever capacity it still has return.
    fn close(&mut self, id: LeaseId, events: &mut Vec<Event>) -> Result<Lease, Refusal> {
        self.open_mut(id)?;
        let open = self.leases.open.remove(&id.sequence).ok_or(Refusal::Closed)?;
        let (lease, slot) = (open.lease, open.slot);
        let due = if slot.is_some() { lease.capacity_until } else { lease.settle_by };
        self.leases.due.remove(&(due, id.sequence));
        self.ledger.of(lease.account).unhold(lease.hold);
        self.return_capacity(&lease, slot, events);
        Ok(lease)
    }

    fn return_capacity(&mut self, lease: &Lease, slot: Option<OfferSlot>, events: &mut Vec<Event>) {
        let Some(slot) = slot else { return };
        self.shelf.give_back(slot, lease.memory_mb, events);
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
    }

    /// Runs what is due at `at` in (time, sequence) order, at most [`EXPIRIES_MAX`]; whether anything was.
    pub(crate) fn expire(&mut self, at: Time, events: &mut Vec<Event>) -> bool {
        let mut ran = 0;
        while ran < EXPIRIES_MAX
            && let Some((due, sequence)) = self.leases.due.first().copied().filter(|(due, _)| *due <= at)
        {
            self.leases.due.remove(&(due, sequence));
            self.expire_one(sequence, events);
            ran += 1;
        }
        ran > 0
    }

    fn expire_one(&mut self, sequence: u64, events: &mut Vec<Event>) {
        let Some(mut open) = self.leases.open.remove(&sequence) else {
            return;
        };
        let slot = open.slot.take();
        self.return_capacity(&open.lease, slot, events);
        match open.lease.state {
            // Its capacity was all that was left of it.
            LeaseState::Unknown => {}
            LeaseState::Running | LeaseState::Offered => {
                open.lease.state = LeaseState::Overdue;
                self.leases.due.insert((open.lease.settle_by, sequence));
                self.leases.open.insert(sequence, open);
            }
            LeaseState::Overdue => {
                self.ledger.of(open.lease.account).unhold(open.lease.hold);
                events.push(Event::Ended { lease: Box::new(open.lease), how: Ending::Expired });
            }
        }
    }

    /// The provider's duration for this revision, and how it compares with the others in general.
    fn learn(&mut self, lease: &Lease, usage: &Usage) {
        let function = &mut self.registry.functions[lease.function.index()];
        let Some(revision) = function.revision_mut(lease.revision) else {
            return;
        };
        let wall = match revision.estimates.get_mut(&lease.provider) {
            Some(estimate) => {
                estimate.learn(usage);
                estimate.wall
            }
            None => {
                let estimate = Estimate::first(usage);
                revision.estimates.insert(lease.provider, estimate);
                estimate.wall
            }
        };
        let others: Vec<LogDuration> = revision
            .estimates
            .iter()
            .filter(|(provider, _)| **provider != lease.provider)
            .map(|(_, estimate)| estimate.wall)
            .collect();
        if let Some(others) = median(others) {
            let ratio = &mut self.registry.providers[lease.provider.index()].general_ratio;
            *ratio = ratio.moved_towards(wall.minus(others));
        }
    }
}
