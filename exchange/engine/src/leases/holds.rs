//! The hold of an invocation: its attempts share the greatest worst case of any of them.
//!
//! An attempt that may have run keeps its hold until it can be claimed no more; a further attempt takes the hold over,
//! raises it to its own worst case, and leaves the part beyond its cost behind.

use merit_terms::Money;

use super::open::Invocation;
use crate::Engine;
use crate::command::{Bid, ProviderKind};
use crate::event::{Lease, LeaseState};
use crate::money::spending::{Calendar, Spending};

impl Engine {
    /// Lists the open earlier attempts of a bid's invocation, in order of their match.
    fn earlier_attempts(&self, bid: &Bid) -> impl Iterator<Item = &Lease> {
        let attempts = Invocation::of_bid(bid).map_or_else(Vec::new, |of| self.leases.attempts(of));
        attempts.into_iter().filter_map(|sequence| self.leases.at(sequence)).map(|open| &open.lease)
    }

    /// Lists those in state Unknown.
    pub(crate) fn unknown_attempts(&self, bid: &Bid) -> impl Iterator<Item = &Lease> {
        self.earlier_attempts(bid).filter(|lease| lease.state == LeaseState::Unknown)
    }

    /// Returns the holds of those that may yet be settled as executed, which a further attempt does not share.
    pub(crate) fn held_beside(&self, bid: &Bid) -> Money {
        let others = self.earlier_attempts(bid).filter(|lease| lease.state != LeaseState::Unknown);
        let sum = others.fold(0, |sum: u64, lease| sum.saturating_add(lease.hold.picodollars()));
        Money::from_picodollars(sum).unwrap_or(Money::MAX)
    }

    /// Counts in the spending of a lease's account and function.
    pub(super) fn count_spending(&mut self, lease: &Lease, count: impl Fn(&mut Spending, &Calendar)) {
        count(self.ledger.account_mut(lease.account).spending_mut(), &self.calendar);
        count(self.registry.function_mut(lease.function).spending_mut(), &self.calendar);
    }

    /// Holds an amount for a lease: on its account, unless its provider bills its owner directly, and on its budgets.
    pub(super) fn hold(&mut self, lease: &Lease, amount: Money) {
        if self.kind_of(lease.provider) == ProviderKind::Market {
            self.ledger.account_mut(lease.account).hold(amount);
        }
        self.count_spending(lease, |spending, calendar| spending.hold(amount, lease.matched_at, calendar));
    }

    /// Gives up an amount that [`Engine::hold`] held.
    pub(super) fn unhold(&mut self, lease: &Lease, amount: Money) {
        if self.kind_of(lease.provider) == ProviderKind::Market {
            self.ledger.account_mut(lease.account).unhold(amount);
        }
        self.count_spending(lease, |spending, calendar| spending.unhold(amount, lease.matched_at, calendar));
    }

    /// Takes over the holds of an invocation's unknown attempts at providers of one kind. Returns their sum.
    pub(super) fn take_over_holds(&mut self, invocation: Invocation, kind: ProviderKind) -> Money {
        let attempts = self.leases.attempts(invocation);
        let mut sum = 0_u64;
        for sequence in self.siblings(attempts, kind) {
            sum = sum.saturating_add(self.take_hold(sequence, Money::MAX).picodollars());
        }
        Money::from_picodollars(sum).unwrap_or(Money::MAX)
    }

    /// Frees all that is held for a lease that can no longer cost anything.
    pub(super) fn cost_nothing(&mut self, lease: &Lease) {
        let hold = self.take_hold(lease.id.sequence, Money::MAX);
        if let Some(open) = self.leases.get_mut(lease.id) {
            open.lease.worst_cost = Money::ZERO;
        }
        self.leave_hold(lease, hold);
        self.registry.provider_mut(lease.provider).unexpose(lease.worst_cost);
        if self.shelf.is_watched() {
            self.wake_exposed(lease.provider);
        }
    }

    /// Selects the unknown attempts at providers of one kind that may yet cost something.
    pub(super) fn siblings(&self, mut attempts: Vec<u64>, kind: ProviderKind) -> Vec<u64> {
        attempts.retain(|sequence| {
            self.leases.at(*sequence).is_some_and(|open| {
                let may_cost = open.broke.is_some_and(|broke| broke.can_claim);
                may_cost && open.lease.state == LeaseState::Unknown && self.kind_of(open.lease.provider) == kind
            })
        });
        attempts
    }

    /// Takes at most `most` of the hold of a lease. Returns the amount.
    pub(super) fn take_hold(&mut self, sequence: u64, most: Money) -> Money {
        let Some(open) = self.leases.at_mut(sequence) else { return Money::ZERO };
        let taken = open.lease.hold.min(most);
        open.lease.hold = open.lease.hold.saturating_sub(taken);
        let lease = open.lease.clone();
        self.unhold(&lease, taken);
        taken
    }

    /// Leaves a part of an ended lease's hold for the unknown attempts of its invocation: as much as they may cost.
    pub(super) fn leave_hold(&mut self, ended: &Lease, left: Money) {
        if left == Money::ZERO {
            return;
        }
        let kind = self.kind_of(ended.provider);
        let siblings = self.siblings(self.leases.beside(ended), kind);
        let own = siblings.iter().filter_map(|sequence| self.leases.at(*sequence)).map(|open| &open.lease);
        let held = own.clone().map(|lease| lease.hold.picodollars()).fold(0, u64::saturating_add);
        let Some(worst) = own.map(|lease| lease.worst_cost.picodollars()).max() else { return };
        let needed = Money::from_picodollars(worst.saturating_sub(held)).unwrap_or(Money::MAX);
        let Some(heir) = siblings.last().copied() else { return };
        let passed = left.min(needed);
        if let Some(open) = self.leases.at_mut(heir) {
            // At most its worst case, which is at most the maximum.
            let raised = open.lease.hold.picodollars().saturating_add(passed.picodollars());
            open.lease.hold = Money::from_picodollars(raised).unwrap_or(Money::MAX);
            let lease = open.lease.clone();
            self.hold(&lease, passed);
        }
    }
}
