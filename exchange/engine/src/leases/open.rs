//! The open leases, by sequence, by the invocation that they are attempts of, and by their broker's request.
//!
//! Owns them, the runs of the exchange, and the forgotten leases that were settled.

use std::collections::BTreeMap;

use merit_terms::{AccountId, FunctionId, LeaseId, Time};
use serde::{Deserialize, Serialize};

use crate::command::{Bid, BrokerRequest};
use crate::deadlines::OfferSlot;
use crate::event::{Lease, Resting};
use crate::supply::quotas::Reserve;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OpenLease {
    pub(crate) lease: Lease,
    /// The offer that it took capacity of; none once the capacity has returned.
    pub(crate) slot: Option<OfferSlot>,
    pub(crate) reserve: Option<Reserve>,
    /// The end of an attempt without an answer.
    pub(crate) broke: Option<Broke>,
    /// True once no further attempt of the invocation follows.
    pub(crate) given_up: bool,
    /// The deferred bid that it was matched with, until its broker takes it up.
    pub(crate) resting: Option<Box<Resting>>,
}

/// The end of an attempt without an answer, as its broker saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Broke {
    /// Time until it broke, in microseconds: the most that can be claimed.
    pub(crate) after_us: u64,
    /// True if the provider is to blame: no more than its quote can be claimed.
    pub(crate) fault: bool,
    /// False if the provider got no proof to claim by: the attempt costs nothing.
    pub(crate) can_claim: bool,
}

/// An invocation, which its attempts share: they are of one account and function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Invocation {
    account: AccountId,
    function: FunctionId,
    first: LeaseId,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Leases {
    open: BTreeMap<u64, OpenLease>,
    /// Further open attempts of each invocation: all but the one that gave it its id.
    #[serde(skip)]
    further: BTreeMap<Invocation, Vec<u64>>,
    #[serde(skip)]
    by_request: BTreeMap<BrokerRequest, u64>,
    /// The runs of the exchange, and the sequence at which each began.
    runs: Vec<(u32, u64)>,
    /// Forgotten leases that were settled, until the time after which none is settled any more.
    late: BTreeMap<LeaseId, Time>,
}

impl Invocation {
    pub(super) fn of(lease: &Lease) -> Invocation {
        Invocation { account: lease.account, function: lease.function, first: lease.invocation }
    }

    /// Returns the invocation of a further attempt. None for the first.
    pub(super) fn of_bid(bid: &Bid) -> Option<Invocation> {
        bid.invocation.map(|first| Invocation { account: bid.account, function: bid.function, first })
    }
}

impl Leases {
    /// Builds anew what is computed from the open leases.
    pub(crate) fn rebuild(&mut self) {
        for open in std::mem::take(&mut self.open).into_values() {
            self.insert(open);
        }
    }

    pub(super) fn insert(&mut self, open: OpenLease) {
        let (lease, sequence) = (&open.lease, open.lease.id.sequence);
        if lease.invocation != lease.id {
            self.further.entry(Invocation::of(lease)).or_default().push(sequence);
        }
        if let Some(request) = lease.request {
            self.by_request.insert(request, sequence);
        }
        self.open.insert(sequence, open);
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<OpenLease> {
        let open = self.open.remove(&sequence)?;
        let lease = &open.lease;
        if lease.invocation != lease.id
            && let Some(further) = self.further.get_mut(&Invocation::of(lease))
        {
            further.retain(|other| *other != sequence);
            if further.is_empty() {
                self.further.remove(&Invocation::of(lease));
            }
        }
        if let Some(request) = lease.request {
            self.by_request.remove(&request);
        }
        Some(open)
    }

    /// Returns the lease with this id, if it is open.
    pub(crate) fn get(&self, id: LeaseId) -> Option<&OpenLease> {
        self.open.get(&id.sequence).filter(|open| open.lease.id == id)
    }

    pub(super) fn get_mut(&mut self, id: LeaseId) -> Option<&mut OpenLease> {
        self.open.get_mut(&id.sequence).filter(|open| open.lease.id == id)
    }

    /// Returns the open lease that was matched at this sequence.
    pub(super) fn at(&self, sequence: u64) -> Option<&OpenLease> {
        self.open.get(&sequence)
    }

    pub(super) fn at_mut(&mut self, sequence: u64) -> Option<&mut OpenLease> {
        self.open.get_mut(&sequence)
    }

    /// Lists the open leases, by sequence.
    pub(crate) fn all(&self) -> impl Iterator<Item = &OpenLease> {
        self.open.values()
    }

    /// Finds the open lease of a broker's request.
    pub(crate) fn of_request(&self, request: BrokerRequest) -> Option<&Lease> {
        self.at(*self.by_request.get(&request)?).map(|open| &open.lease)
    }

    /// Lists the open leases that a broker's session answers for, in order of its requests.
    pub(crate) fn of_session(&self, session: u64) -> impl Iterator<Item = &Lease> {
        let leases = self.by_request.range(BrokerRequest::of_session(session));
        leases.filter_map(|(_, sequence)| self.at(*sequence).map(|open| &open.lease))
    }

    /// Takes out the deferred bid of a match that was not taken up.
    pub(crate) fn take_resting(&mut self, sequence: u64) -> Option<Box<Resting>> {
        self.at_mut(sequence)?.resting.take()
    }

    /// Lists the open attempts of an invocation, in order of their match.
    pub(super) fn attempts(&self, invocation: Invocation) -> Vec<u64> {
        let first = self.get(invocation.first).map(|open| &open.lease);
        let first = first.filter(|lease| Invocation::of(lease) == invocation).map(|lease| lease.id.sequence);
        let further = self.further.get(&invocation).into_iter().flatten().copied();
        let mut attempts: Vec<u64> = first.into_iter().chain(further).collect();
        attempts.sort_unstable();
        attempts
    }

    /// Lists the open attempts of a lease's invocation, in order of their match.
    pub(super) fn attempts_of(&self, lease: &Lease) -> Vec<u64> {
        self.attempts(Invocation::of(lease))
    }

    /// Lists the other open attempts of a lease's invocation, in order of their match.
    pub(super) fn beside(&self, lease: &Lease) -> Vec<u64> {
        // Most invocations have one attempt, which shows without looking it up.
        if lease.invocation == lease.id && !self.further.contains_key(&Invocation::of(lease)) {
            return Vec::new();
        }
        let mut attempts = self.attempts(Invocation::of(lease));
        attempts.retain(|sequence| *sequence != lease.id.sequence);
        attempts
    }

    /// Begins a run of the exchange.
    pub(crate) fn begin_run(&mut self, run: u32, sequence: u64) {
        self.runs.push((run, sequence));
    }

    /// Returns whether a former run granted a lease that the next run does not know: a crash forgot it.
    pub(super) fn is_of_lost_end(&self, id: LeaseId) -> bool {
        let next = self.runs.partition_point(|(run, _)| *run <= id.run);
        self.runs.get(next).is_some_and(|(_, began)| id.sequence >= *began)
    }

    /// Returns whether a forgotten lease was settled.
    pub(super) fn is_settled_late(&self, id: LeaseId) -> bool {
        self.late.contains_key(&id)
    }

    pub(super) fn remember_late(&mut self, id: LeaseId, until: Time) {
        self.late.insert(id, until);
    }

    pub(crate) fn forget_late(&mut self, id: LeaseId) {
        self.late.remove(&id);
    }

    /// Returns the runs and the forgotten leases that were settled.
    pub(crate) fn history(&self) -> (&[(u32, u64)], &BTreeMap<LeaseId, Time>) {
        (&self.runs, &self.late)
    }
}
