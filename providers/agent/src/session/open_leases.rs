//! The memory of a provider's open leases.

use std::collections::{BTreeMap, BTreeSet};

use merit_proto::v1;
use merit_terms::LeaseId;

/// The memory of each open lease, and their sum.
#[derive(Default)]
pub(crate) struct OpenLeases {
    /// Memory in MB and the time at which it returns at the latest, by the exchange's clock.
    held: BTreeMap<LeaseId, (u32, u64)>,
    by_return: BTreeSet<(u64, LeaseId)>,
    sum_mb: u64,
}

impl OpenLeases {
    pub(crate) fn of(granted: &[v1::LeaseGranted]) -> OpenLeases {
        let mut open = OpenLeases::default();
        granted.iter().for_each(|granted| open.begin(granted));
        open
    }

    pub(crate) fn sum_mb(&self) -> u64 {
        self.sum_mb
    }

    pub(crate) fn begin(&mut self, granted: &v1::LeaseGranted) {
        if let Some(lease) = granted.lease.map(LeaseId::from) {
            self.end(lease);
            self.held.insert(lease, (granted.memory_mb, granted.capacity_until));
            self.by_return.insert((granted.capacity_until, lease));
            self.sum_mb += u64::from(granted.memory_mb);
        }
    }

    pub(crate) fn end(&mut self, lease: LeaseId) {
        if let Some((memory_mb, until)) = self.held.remove(&lease) {
            self.by_return.remove(&(until, lease));
            self.sum_mb -= u64::from(memory_mb);
        }
    }

    /// Ends the leases whose memory has returned by `now`, of which the exchange says nothing.
    pub(crate) fn expire(&mut self, now: u64) {
        while let Some((until, lease)) = self.by_return.first().copied()
            && until <= now
        {
            self.end(lease);
        }
    }
}
