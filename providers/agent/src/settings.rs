//! What a provider is told before it starts, and whether it makes sense. Never reads a file or the environment.

use std::ops::RangeInclusive;

use merit_terms::{MarketName, Name, PoolSize, Protection, Rung};

use crate::strategy::Strategy;

/// How one provider sells.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    pub name: Name,
    /// Where the pool is offered, at least one; the same memory may be listed in several and is sold once.
    pub markets: Vec<MarketName>,
    /// What runs at once; its slots are the threads of the host, one guest each.
    pub pool: PoolSize,
    /// The part of a CPU that each thread may use, above 0 and at most 1.
    pub cpu_share: f64,
    pub strategy: Strategy,
    /// What one invocation is said to get, in thousandths of a virtual CPU.
    pub vcpus_milli: u32,
    /// The memory that one invocation may ask for.
    pub memory_mb: RangeInclusive<u32>,
    /// The longest timeout that one invocation may ask for.
    pub longest_ms: u32,
    /// When all offers are to be pulled because they are leased too fast; none: never.
    pub protection: Option<Protection>,
    /// Where brokers reach the invocation server; none: at the address of its listener.
    pub endpoint: Option<String>,
}

/// Settings that no provider can work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct SettingsError {
    pub field: &'static str,
    pub message: String,
}

impl ProviderSettings {
    /// The ladder that the strategy makes of the pool, the same in every market.
    pub fn ladder(&self) -> Vec<Rung> {
        self.strategy.ladder(self)
    }

    /// Refuses what the exchange would refuse, and what could never sell.
    pub fn check(&self) -> Result<(), SettingsError> {
        let wrong = |field, message: String| Err(SettingsError { field, message });
        if self.markets.is_empty() {
            return wrong("markets", "none is named".into());
        }
        if !(1..=PoolSize::MAX_SLOTS).contains(&self.pool.slots) {
            return wrong("pool", format!("{} slots; 1 to {}", self.pool.slots, PoolSize::MAX_SLOTS));
        }
        if u64::from(*self.memory_mb.end()) > self.pool.memory_mb {
            let message = format!("up to {} MB for one invocation, of {}", self.memory_mb.end(), self.pool.memory_mb);
            return wrong("memory_mb", message);
        }
        self.strategy.check().map_err(|message| SettingsError { field: "strategy", message })?;
        let checked = self.ladder().iter().try_for_each(Rung::check);
        checked.map_err(|error| SettingsError { field: "offers", message: error.to_string() })
    }
}
