//! The open leases, and how they are found: by sequence, by the call that they are attempts of, by their broker's request.
//!
//! Owns them and what a crash makes of those of former runs. A closed lease is gone from here; its record is a projection.

use std::collections::BTreeMap;

use merit_terms::{AccountId, FunctionId, LeaseId, Time};
use serde::{Deserialize, Serialize};

use crate::command::{Bid, BrokerRequest};
use crate::event::{Lease, Resting};
use crate::supply::OfferSlot;
use crate::supply::quotas::Reserve;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OpenLease {
    pub(crate) lease: Lease,
    /// None once its capacity has returned.
    pub(crate) slot: Option<OfferSlot>,
    pub(crate) reserve: Option<Reserve>,
    /// The deferred bid that it was matched with, until its broker takes it up.
    pub(crate) resting: Option<Box<Resting>>,
}

/// An invocation as its attempts share it: only those of one account and function do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    account: AccountId,
    function: FunctionId,
    invocation: LeaseId,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Leases {
    pub(crate) open: BTreeMap<u64, OpenLease>,
    /// Open leases of each call, but for the one that its invocation has its id from.
    #[serde(skip)]
    further: BTreeMap<Call, Vec<u64>>,
    #[serde(skip)]
    pub(crate) by_request: BTreeMap<BrokerRequest, u64>,
    /// Each run, and the sequence at which it began.
    pub(crate) runs: Vec<(u32, u64)>,
    /// Forgotten leases that were settled, until nobody may settle them any more.
    pub(crate) late: BTreeMap<LeaseId, Time>,
}

impl Call {
    pub(crate) fn of(lease: &Lease) -> Call {
        Call { account: lease.account, function: lease.function, invocation: lease.invocation }
    }

    /// That of a further attempt; none: it is the first.
    pub(crate) fn of_bid(bid: &Bid) -> Option<Call> {
        bid.invocation.map(|invocation| Call { account: bid.account, function: bid.function, invocation })
    }
}

impl Leases {
    /// Builds what can be computed from the open leases.
    pub(crate) fn rebuild(&mut self) {
        for open in std::mem::take(&mut self.open).into_values() {
            self.insert(open);
        }
    }

    pub(crate) fn insert(&mut self, open: OpenLease) {
        let (lease, sequence) = (&open.lease, open.lease.id.sequence);
        if lease.invocation != lease.id {
            self.further.entry(Call::of(lease)).or_default().push(sequence);
        }
        if let Some(request) = lease.request {
            self.by_request.insert(request, sequence);
        }
        self.open.insert(sequence, open);
    }

    pub(crate) fn remove(&mut self, sequence: u64) -> Option<OpenLease> {
        let open = self.open.remove(&sequence)?;
        let lease = &open.lease;
        if lease.invocation != lease.id
            && let Some(further) = self.further.get_mut(&Call::of(lease))
        {
            further.retain(|other| *other != sequence);
            if further.is_empty() {
                self.further.remove(&Call::of(lease));
            }
        }
        if let Some(request) = lease.request {
            self.by_request.remove(&request);
        }
        Some(open)
    }

    /// The lease with this id, if it is open.
    pub(crate) fn get(&self, id: LeaseId) -> Option<&OpenLease> {
        self.open.get(&id.sequence).filter(|open| open.lease.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: LeaseId) -> Option<&mut OpenLease> {
        self.open.get_mut(&id.sequence).filter(|open| open.lease.id == id)
    }

    /// The open attempts of a call, in order of their match.
    pub(crate) fn attempts(&self, call: Call) -> Vec<u64> {
        let first = self.get(call.invocation).map(|open| &open.lease).filter(|lease| Call::of(lease) == call);
        let further = self.further.get(&call).into_iter().flatten().copied();
        let mut attempts: Vec<u64> = first.map(|lease| lease.id.sequence).into_iter().chain(further).collect();
        attempts.sort_unstable();
        attempts
    }

    /// The other open attempts of a lease's call, in order of their match.
    pub(crate) fn beside(&self, lease: &Lease) -> Vec<u64> {
        // Most calls have one attempt: that is seen without looking it up.
        if lease.invocation == lease.id && !self.further.contains_key(&Call::of(lease)) {
            return Vec::new();
        }
        let mut attempts = self.attempts(Call::of(lease));
        attempts.retain(|sequence| *sequence != lease.id.sequence);
        attempts
    }
}
