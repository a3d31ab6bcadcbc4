//! The memory of a provider's open leases.

use std::collections::BTreeMap;

use merit_proto::v1;
use merit_terms::LeaseId;

/// The memory of each open lease, in MB, and their sum.
#[derive(Default)]
pub(crate) struct OpenLeases {
    memory_mb: BTreeMap<LeaseId, u32>,
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
        if let Some(lease) = granted.lease {
            self.end(granted.lease);
            self.memory_mb.insert(lease.into(), granted.memory_mb);
            self.sum_mb += u64::from(granted.memory_mb);
        }
    }

    pub(crate) fn end(&mut self, lease: Option<v1::LeaseId>) {
        let ended = lease.and_then(|lease| self.memory_mb.remove(&lease.into()));
        self.sum_mb -= ended.map_or(0, u64::from);
    }
}
