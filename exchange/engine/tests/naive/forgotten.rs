//! Leases that a crash forgot, settled once on the terms of their token.

use merit_engine::{Event, Forgotten, Lease, LeaseState, LeaseTerms, Reply, Settlement};
use merit_terms::{Execution, LeaseId, Money, OfferId, Refusal, Time};

use super::accounts::{money, picodollars};
use super::{Twin, invalid, unknown};

impl Twin {
    /// Returns whether the run that granted the lease ended without it.
    pub(super) fn is_forgotten(&self, id: LeaseId) -> bool {
        let next = self.starts.iter().find(|(run, _)| *run > id.run);
        let lost = next.is_some_and(|(_, started)| id.sequence >= *started);
        lost && id.run < self.run && self.late.iter().all(|(late, _)| *late != id)
    }

    pub(super) fn settle_forgotten(&mut self, at: Time, forgotten: &Forgotten) -> Result<Reply, Refusal> {
        let Forgotten { terms, settle } = forgotten;
        if settle.lease != terms.lease {
            return Err(invalid("lease"));
        }
        if !self.is_forgotten(terms.lease) || at >= terms.settle_by {
            return Err(Refusal::Closed);
        }
        self.check_ids(terms)?;
        self.late.push((terms.lease, terms.settle_by));
        if settle.execution != Execution::Executed {
            return Ok(Reply::Done);
        }
        let lease = made_of(terms);
        let metered = self.metered(&lease, settle.reported, settle);
        let settlement = self.bill(&lease, metered, lease.hold);
        self.events.push(Event::Granted(Box::new(lease.clone())));
        let by_buyer = self.payable(at, &lease, &settlement);
        self.pay(at, &lease, &settlement, by_buyer);
        self.teach(at, &lease, settle, &metered);
        self.trade(&lease, settle.outcome, settlement);
        Ok(Reply::Settled(settlement))
    }

    /// Returns the part of the cost that the buyer's funds and budgets still cover.
    fn payable(&self, at: Time, lease: &Lease, settlement: &Settlement) -> Money {
        if !self.moves_money(lease) {
            return settlement.cost;
        }
        let budgets = self.budgets_left(lease.account, lease.function, at);
        let left = budgets.into_iter().map(|(_, left)| left).chain([self.available(lease.account)]);
        let least = left.fold(picodollars(settlement.cost) as i128, i128::min);
        money(u128::try_from(least).unwrap_or(0))
    }

    fn check_ids(&self, terms: &LeaseTerms) -> Result<(), Refusal> {
        self.account(terms.account)?;
        let function = self.functions.get(terms.function.index());
        let function = function.ok_or_else(|| unknown("function", terms.function.number()))?;
        function.resolve(&merit_engine::Qualifier::Revision(terms.revision))?;
        if terms.provider.index() >= self.providers.len() {
            return Err(unknown("provider", terms.provider.number()));
        }
        if terms.market.index() >= self.markets.len() {
            return Err(unknown("market", terms.market.number()));
        }
        Ok(())
    }
}

fn made_of(terms: &LeaseTerms) -> Lease {
    Lease {
        id: terms.lease,
        invocation: terms.invocation,
        attempt: terms.attempt,
        account: terms.account,
        function: terms.function,
        revision: terms.revision,
        provider: terms.provider,
        market: terms.market,
        offer: OfferId(0),
        price: terms.price,
        tariff: terms.tariff,
        vcpus_milli: terms.vcpus_milli,
        memory_mb: terms.memory_mb,
        timeout_ms: terms.timeout_ms,
        quoted_cost: Money::ZERO,
        worst_cost: terms.hold,
        hold: terms.hold,
        matched_at: terms.matched_at,
        capacity_until: terms.settle_by,
        settle_by: terms.settle_by,
        runner_up: None,
        state: LeaseState::Running,
        on_prior: false,
        private: terms.private,
        claim: None,
        request: None,
    }
}
