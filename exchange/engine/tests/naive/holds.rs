//! Holds of a bid before its match: the attempts of one invocation share theirs, and a resting bid brings its own.

use merit_engine::{Bid, Lease, LeaseState, ProviderKind, Resting};
use merit_terms::{LeaseId, Period, Time};

use super::accounts::{money, picodollars};
use super::{OpenLease, Twin};

/// A hold that a match takes over.
#[derive(Clone, Copy, Debug)]
struct Cover {
    /// Kind of provider that it is held for; none: either.
    kind: Option<ProviderKind>,
    hold: u128,
    /// Time whose periods it counts in.
    counted_at: Time,
}

/// All holds of one bid.
#[derive(Clone, Debug)]
pub(super) struct Covers {
    covers: Vec<Cover>,
    /// Held for attempts of the invocation that still run, beside this one.
    pub(super) beside: u128,
}

/// Returns whether two leases share their holds: only attempts at one function of one account do, whatever invocation
/// they name.
pub(super) fn is_same_call(one: &Lease, other: &Lease) -> bool {
    let call = |lease: &Lease| (lease.account, lease.function, lease.invocation);
    call(one) == call(other)
}

impl Covers {
    fn sum(&self, counts: impl Fn(&Cover) -> bool) -> u128 {
        self.covers.iter().filter(|cover| counts(cover)).map(|cover| cover.hold).sum()
    }

    /// Returns the amount that an offer of a provider of this kind need not hold again.
    pub(super) fn shared(&self, kind: ProviderKind) -> u128 {
        self.sum(|cover| cover.kind.is_none_or(|other| other == kind))
    }

    pub(super) fn shared_in(&self, kind: ProviderKind, period: Period, at: Time) -> u128 {
        let counts = |cover: &Cover| cover.counted_at.period(period) == at.period(period);
        self.sum(|cover| cover.kind.is_none_or(|other| other == kind) && counts(cover))
    }

    /// Returns the part of the max cost that is held for attempts at providers of the other kind.
    pub(super) fn elsewhere(&self, kind: ProviderKind) -> u128 {
        self.sum(|cover| cover.kind.is_some_and(|other| other != kind))
    }
}

impl Twin {
    pub(super) fn covers(&self, bid: &Bid, resting: Option<&Resting>) -> Covers {
        let of_lease = |lease: &Lease| Cover {
            kind: Some(self.kind(lease.provider)),
            hold: picodollars(lease.hold),
            counted_at: lease.matched_at,
        };
        let of_bid =
            |resting: &Resting| Cover { kind: None, hold: picodollars(resting.hold), counted_at: resting.rested_at };
        let leases = self.leases.iter().map(|open| &open.lease).filter(|lease| {
            let of = (lease.account, lease.function, Some(lease.invocation));
            of == (bid.account, bid.function, bid.invocation)
        });
        let (unknown, others): (Vec<&Lease>, Vec<&Lease>) =
            leases.partition(|lease| lease.state == LeaseState::Unknown);
        let covers = unknown.into_iter().map(of_lease).chain(resting.map(of_bid)).collect();
        Covers { covers, beside: others.into_iter().map(|lease| picodollars(lease.hold)).sum() }
    }

    /// Returns the ids of the open attempts of an invocation, in order of their match.
    pub(super) fn attempts(&self, lease: &Lease) -> Vec<LeaseId> {
        let attempts = self.leases.iter().map(|open| &open.lease).filter(|other| is_same_call(other, lease));
        let mut ids: Vec<LeaseId> = attempts.map(|attempt| attempt.id).collect();
        ids.sort_by_key(|id| id.sequence);
        ids
    }

    /// Returns the other unknown attempts of the invocation at providers of the same kind that may cost something, in
    /// order of their match.
    pub(super) fn siblings(&self, lease: &Lease) -> Vec<usize> {
        let kind = self.kind(lease.provider);
        let is_sibling = |open: &OpenLease| {
            let other = &open.lease;
            let same = is_same_call(other, lease) && other.id != lease.id;
            let costs = other.state == LeaseState::Unknown && !open.costs_nothing;
            same && costs && self.kind(other.provider) == kind
        };
        (0..self.leases.len()).filter(|index| is_sibling(&self.leases[*index])).collect()
    }

    /// Moves the holds of the siblings to a new attempt.
    pub(super) fn take_holds(&mut self, lease: &Lease) {
        for index in self.siblings(lease) {
            self.leases[index].lease.hold = money(0);
        }
    }

    /// Leaves the rest of an ended lease's hold to its siblings, as far as their claims may need it.
    pub(super) fn pass_on(&mut self, ended: &Lease, left: u128) {
        let siblings = self.siblings(ended);
        let Some(last) = siblings.last() else { return };
        let leases = || siblings.iter().map(|index| &self.leases[*index].lease);
        let needed = leases().map(|lease| picodollars(lease.worst_cost)).max().unwrap_or(0);
        let held: u128 = leases().map(|lease| picodollars(lease.hold)).sum();
        let passed = left.min(needed.saturating_sub(held));
        let lease = &mut self.leases[*last].lease;
        lease.hold = money(picodollars(lease.hold) + passed);
    }

    /// Takes the missing part of a claim out of the holds of the siblings.
    pub(super) fn draw_on_siblings(&mut self, lease: &Lease, lacking: u128) {
        let mut lacking = lacking;
        for index in self.siblings(lease) {
            let sibling = &mut self.leases[index].lease;
            let taken = lacking.min(picodollars(sibling.hold));
            sibling.hold = money(picodollars(sibling.hold) - taken);
            lacking -= taken;
        }
    }

    pub(super) fn held_by_siblings(&self, lease: &Lease) -> u128 {
        self.siblings(lease).into_iter().map(|index| picodollars(self.leases[index].lease.hold)).sum()
    }
}
