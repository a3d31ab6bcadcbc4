//! What is held for a bid already: the attempts of one invocation share a pot, and a resting bid brings its own.

use merit_engine::{Bid, Lease, LeaseState, ProviderKind, Resting};
use merit_terms::{Period, Time};

use super::Twin;
use super::accounts::{money, picodollars};

/// A hold that a match takes over.
#[derive(Clone, Copy, Debug)]
struct Cover {
    /// On which kind of provider it is held; none: it covers either.
    kind: Option<ProviderKind>,
    hold: u128,
    /// It counts in the periods of this time.
    counted_at: Time,
}

/// All that is held for one bid.
#[derive(Clone, Debug)]
pub(super) struct Covers(Vec<Cover>);

/// Only attempts of one account's one function share what they hold, whatever invocation they are said to be of.
pub(super) fn is_same_call(one: &Lease, other: &Lease) -> bool {
    let call = |lease: &Lease| (lease.account, lease.function, lease.invocation);
    call(one) == call(other)
}

impl Covers {
    fn sum(&self, counts: impl Fn(&Cover) -> bool) -> u128 {
        self.0.iter().filter(|cover| counts(cover)).map(|cover| cover.hold).sum()
    }

    /// What an offer of a provider of this kind need not be held again for.
    pub(super) fn shared(&self, kind: ProviderKind) -> u128 {
        self.sum(|cover| cover.kind.is_none_or(|other| other == kind))
    }

    pub(super) fn shared_in(&self, kind: ProviderKind, period: Period, at: Time) -> u128 {
        let counts = |cover: &Cover| cover.counted_at.period(period) == at.period(period);
        self.sum(|cover| cover.kind.is_none_or(|other| other == kind) && counts(cover))
    }

    /// What is held of the max cost for attempts at providers of the other kind.
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
        let leases = self.leases.iter().map(|open| &open.lease);
        let siblings = leases.filter(|lease| {
            let of = (lease.account, lease.function, Some(lease.invocation));
            of == (bid.account, bid.function, bid.invocation) && lease.state == LeaseState::Unknown
        });
        Covers(siblings.map(of_lease).chain(resting.map(of_bid)).collect())
    }

    /// The other unknown attempts of the lease's invocation at providers of its kind, in order of their match.
    pub(super) fn siblings(&self, lease: &Lease) -> Vec<usize> {
        let kind = self.kind(lease.provider);
        let is_sibling = |other: &Lease| {
            let same = is_same_call(other, lease) && other.id != lease.id;
            same && other.state == LeaseState::Unknown && self.kind(other.provider) == kind
        };
        (0..self.leases.len()).filter(|index| is_sibling(&self.leases[*index].lease)).collect()
    }

    /// The siblings give up their holds to a new attempt.
    pub(super) fn take_holds(&mut self, lease: &Lease) {
        for index in self.siblings(lease) {
            self.leases[index].lease.hold = money(0);
        }
    }

    /// What an ended lease leaves of its hold, as far as the claims of its siblings may need it.
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

    /// Takes what the lease's own hold lacks of a claim out of the holds of its siblings.
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
