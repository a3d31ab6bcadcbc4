//! What is held for an invocation: its attempts share the most that any of them can cost.
//!
//! An attempt that may have run keeps its hold until nobody may claim it any more; a further attempt takes it over and
//! raises it to its own worst case, and leaves behind what it did not cost.

use merit_terms::{Money, Outcome, Time, Usage};

use crate::Engine;
use crate::command::ProviderKind;
use crate::dues::Due;
use crate::event::{Event, Lease, LeaseState};
use crate::leases::open::Call;
use crate::money::{Calendar, Spending};
use crate::supply::quotas::energy_mb_ms;

impl Engine {
    /// The leases of a call in state Unknown, in order of their match.
    pub(crate) fn unknown(&self, call: Call) -> impl Iterator<Item = &Lease> {
        let attempts = self.leases.attempts(call).into_iter().map(|sequence| &self.leases.open[&sequence].lease);
        attempts.filter(|lease| lease.state == LeaseState::Unknown)
    }

    /// Counts in the spending of a lease's account and function.
    pub(crate) fn count_spending(&mut self, lease: &Lease, count: impl Fn(&mut Spending, &Calendar)) {
        count(&mut self.ledger.of(lease.account).spending, &self.calendar);
        count(&mut self.registry.functions[lease.function.index()].spending, &self.calendar);
    }

    /// Holds an amount for a lease: on its account, unless its provider bills its owner directly, and on its budgets.
    pub(crate) fn hold(&mut self, lease: &Lease, amount: Money) {
        if self.kind_of(lease.provider) == ProviderKind::Market {
            self.ledger.of(lease.account).hold(amount);
        }
        self.count_spending(lease, |spending, calendar| spending.hold(amount, lease.matched_at, calendar));
    }

    pub(crate) fn unhold(&mut self, lease: &Lease, amount: Money) {
        if self.kind_of(lease.provider) == ProviderKind::Market {
            self.ledger.of(lease.account).unhold(amount);
        }
        self.count_spending(lease, |spending, calendar| spending.unhold(amount, lease.matched_at, calendar));
    }

    /// Takes what the unknown attempts of a call at providers of one kind hold; how much that is.
    pub(crate) fn take_over_holds(&mut self, call: Call, kind: ProviderKind) -> Money {
        let attempts = self.leases.attempts(call);
        let mut sum = 0_u64;
        for sequence in self.siblings(attempts, kind) {
            sum = sum.saturating_add(self.take_hold(sequence, Money::MAX).picodollars());
        }
        Money::from_picodollars(sum).unwrap_or(Money::MAX)
    }

    /// Those of some attempts of a call that are unknown, and at providers of one kind.
    fn siblings(&self, mut attempts: Vec<u64>, kind: ProviderKind) -> Vec<u64> {
        attempts.retain(|sequence| {
            let lease = &self.leases.open[sequence].lease;
            lease.state == LeaseState::Unknown && self.kind_of(lease.provider) == kind
        });
        attempts
    }

    /// Takes at most `most` of what a lease holds.
    fn take_hold(&mut self, sequence: u64, most: Money) -> Money {
        let Some(open) = self.leases.open.get_mut(&sequence) else { return Money::ZERO };
        let taken = open.lease.hold.min(most);
        open.lease.hold = open.lease.hold.saturating_sub(taken);
        let lease = open.lease.clone();
        self.unhold(&lease, taken);
        taken
    }

    /// A lease ended and `left` of its hold: as much stays for the unknown attempts of its invocation as they may cost.
    pub(crate) fn leave_hold(&mut self, ended: &Lease, left: Money) {
        if left == Money::ZERO {
            return;
        }
        let kind = self.kind_of(ended.provider);
        let siblings = self.siblings(self.leases.beside(ended), kind);
        let own = siblings.iter().map(|sequence| &self.leases.open[sequence].lease);
        let held = own.clone().map(|lease| lease.hold.picodollars()).fold(0, u64::saturating_add);
        let Some(worst) = own.map(|lease| lease.worst_cost.picodollars()).max() else { return };
        let needed = Money::from_picodollars(worst.saturating_sub(held)).unwrap_or(Money::MAX);
        let Some(heir) = siblings.last().copied() else { return };
        let passed = left.min(needed);
        if let Some(open) = self.leases.open.get_mut(&heir) {
            // At most its worst case, which is at most the maximum.
            let raised = open.lease.hold.picodollars().saturating_add(passed.picodollars());
            open.lease.hold = Money::from_picodollars(raised).unwrap_or(Money::MAX);
            let lease = open.lease.clone();
            self.hold(&lease, passed);
        }
    }

    /// Nobody settled a lease whose provider claims that it ran: it is paid from what is left of the invocation's hold.
    pub(crate) fn pay_claim(&mut self, sequence: u64, claim: Usage, events: &mut Vec<Event>) {
        let Some(lease) = self.leases.open.get(&sequence).map(|open| open.lease.clone()) else { return };
        if let Some(later) = self.answered_later(&lease) {
            if let Some(open) = self.leases.open.get_mut(&sequence) {
                open.lease.settle_by = later;
                self.dues.insert((later, Due::Lease(sequence)));
            }
            return;
        }
        let kind = self.kind_of(lease.provider);
        let timeout_us = u64::from(lease.timeout_ms) * 1000;
        let metered = Usage::metered(Some(claim), timeout_us, lease.timeout_ms, 0);
        let cost = self.bill(&lease, &metered, lease.worst_cost).cost;
        let mut missing = cost.saturating_sub(lease.hold);
        let mut taken = lease.hold.min(cost);
        for sibling in self.siblings(self.leases.beside(&lease), kind) {
            let part = self.take_hold(sibling, missing);
            missing = missing.saturating_sub(part);
            taken = Money::from_picodollars(taken.picodollars() + part.picodollars()).unwrap_or(Money::MAX);
        }
        let settlement = self.bill(&lease, &metered, taken);
        let used = energy_mb_ms(&lease.tariff, lease.memory_mb, settlement.billed_ms);
        if let Some(lease) = self.close(sequence, taken, Some(used), events) {
            self.pay(lease, Outcome::Ok, settlement, taken, events);
        }
    }

    /// Just after a later attempt of the same invocation that may yet be answered must be settled, if there is one.
    fn answered_later(&self, lease: &Lease) -> Option<Time> {
        let others = self.leases.beside(lease).into_iter().map(|sequence| &self.leases.open[&sequence].lease);
        let answering = others.filter(|other| {
            let later = other.id.sequence > lease.id.sequence && other.settle_by >= lease.settle_by;
            later && other.state != LeaseState::Unknown
        });
        answering.map(|other| Time::from_micros(other.settle_by.micros() + 1)).max()
    }
}
