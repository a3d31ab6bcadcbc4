//! A provider's own statements: the size of its pools, the rungs of its ladders, its quotas and its protection. Never
//! knows how much of them is leased.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{MEMORY_MAX_MB, Name, Period, TIMEOUT_MAX_MS, Tariff, TariffError, Time, VCPUS_MAX_MILLI};

/// The capacity of a pool: memory and invocations at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PoolSize {
    pub memory_mb: u64,
    pub slots: u32,
}

impl PoolSize {
    /// Maximum memory of a pool in MB: 1 PB, far above any pool and far below overflow.
    pub const MAX_MEMORY_MB: u64 = 1 << 30;
    /// Maximum number of slots of a pool.
    pub const MAX_SLOTS: u32 = 1_000_000;
}

/// One rung of a ladder, as quoted: a tariff on part of a pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rung {
    /// The provider's own number for it, unique in the ladder.
    pub id: u32,
    /// The provider's pool that it sells, by position in the logon.
    pub pool: u32,
    pub capacity_mb: u64,
    pub tariff: Tariff,
    /// CPU share of one invocation, in thousandths of a virtual CPU.
    pub vcpus_milli: u32,
    pub memory_min_mb: u32,
    pub memory_max_mb: u32,
    pub longest_ms: u32,
    /// True if the provider stops an invocation at the lease's timeout, even at one that a max cost shortened.
    pub enforces_timeout: bool,
    /// The provider's own claims, each named `claimed.*`. They are shown and satisfy no limit.
    pub labels: BTreeMap<String, String>,
    /// The accounts that it is for; empty for all.
    pub audience: Vec<Name>,
    /// The provider's quota that every lease of the rung draws on.
    pub quota: Option<Name>,
    /// Time at which the rung leaves the book by itself.
    pub expires: Option<Time>,
}

/// A free tier or a commitment: requests and energy that a provider sells in each period. Never reset by quoting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Quota {
    pub name: Name,
    pub requests: Option<u64>,
    /// Energy in MB-ms; 1 GB-s is 1,024,000 MB-ms.
    pub energy_mb_ms: Option<u64>,
    /// Period of renewal, in UTC; `None` if it never renews.
    pub renews: Option<Period>,
}

/// Maker protection: all offers of a provider are pulled after `leases` leases within `within_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Protection {
    pub leases: u32,
    pub within_ms: u32,
}

/// A field of a rung that is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RungError {
    #[error("tariff: {0}")]
    Tariff(#[from] TariffError),
    #[error("{field} is {value}; {least} to {most}")]
    Field { field: &'static str, value: u64, least: u64, most: u64 },
    #[error("labels.{name:?}: a claim is named claimed.*, of at most {most} bytes without control characters")]
    Label { name: String, most: usize },
    #[error("{field} has {count} entries; at most {most}")]
    Entries { field: &'static str, count: usize, most: usize },
}

impl Rung {
    /// Maximum number of labels.
    pub const MAX_LABELS: usize = 16;
    /// Maximum length of one label in bytes, name and value together.
    pub const MAX_LABEL_BYTES: usize = 256;
    /// Maximum number of accounts in an audience.
    pub const MAX_AUDIENCE: usize = 64;

    /// Refuses a rung with a field out of bounds.
    pub fn check(&self) -> Result<(), RungError> {
        self.tariff.check()?;
        let memory_max = u64::from(MEMORY_MAX_MB);
        let fields = [
            ("capacity_mb", self.capacity_mb, 1, PoolSize::MAX_MEMORY_MB),
            ("vcpus_milli", self.vcpus_milli.into(), 1, VCPUS_MAX_MILLI.into()),
            ("memory_min_mb", self.memory_min_mb.into(), 1, memory_max),
            ("memory_max_mb", self.memory_max_mb.into(), self.memory_min_mb.into(), memory_max),
            ("longest_ms", self.longest_ms.into(), 1, TIMEOUT_MAX_MS.into()),
        ];
        for (field, value, least, most) in fields {
            if !(least..=most).contains(&value) {
                return Err(RungError::Field { field, value, least, most });
            }
        }
        let lists =
            [("labels", self.labels.len(), Rung::MAX_LABELS), ("audience", self.audience.len(), Rung::MAX_AUDIENCE)];
        for (field, count, most) in lists {
            if count > most {
                return Err(RungError::Entries { field, count, most });
            }
        }
        let most = Rung::MAX_LABEL_BYTES;
        let is_plain = |text: &str| !text.contains(char::is_control);
        let own = |name: &str, value: &str| {
            name.starts_with("claimed.") && name.len() + value.len() <= most && is_plain(name) && is_plain(value)
        };
        match self.labels.iter().find(|(name, value)| !own(name, value)) {
            Some((name, _)) => Err(RungError::Label { name: name.clone(), most }),
            None => Ok(()),
        }
    }
}
