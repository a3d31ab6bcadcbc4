//! What a provider states: how large its pools are, and the rungs of its ladders.

use crate::{MEMORY_MAX_MB, TIMEOUT_MAX_MS, Tariff, TariffError, VCPUS_MAX_MILLI};

/// What a pool can run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolSize {
    pub memory_mb: u64,
    pub slots: u32,
}

impl PoolSize {
    /// 1 PB of memory: far above any pool, far below overflow.
    pub const MAX_MEMORY_MB: u64 = 1 << 30;
    pub const MAX_SLOTS: u32 = 1_000_000;
}

/// One rung of a ladder, as quoted: a tariff on part of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rung {
    /// The provider's own number for it, unique in the ladder.
    pub id: u32,
    /// Which of the provider's pools it sells, by position in its logon.
    pub pool: u32,
    pub capacity_mb: u64,
    pub tariff: Tariff,
    /// What one invocation gets, in thousandths of a virtual CPU.
    pub vcpus_milli: u32,
    pub memory_min_mb: u32,
    pub memory_max_mb: u32,
    pub longest_ms: u32,
    /// Whether the provider stops an invocation at the lease's timeout, even one cut short by a max cost.
    pub enforces_timeout: bool,
}

/// A field of a rung that is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RungError {
    #[error("tariff: {0}")]
    Tariff(#[from] TariffError),
    #[error("{field} is {value}; {least} to {most}")]
    Field { field: &'static str, value: u64, least: u64, most: u64 },
}

impl Rung {
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
        Ok(())
    }
}
