//! What a provider is told before it starts, and whether it makes sense. Never reads a file or the environment.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use merit_proto::v1::Adapter;
use merit_terms::{MarketName, Name, PoolSize, Protection, Quota, Rung};

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
    /// A free tier: what costs nothing, before anybody pays.
    pub free: Option<Quota>,
    /// The accounts it sells to; none listed: all.
    pub audience: Vec<Name>,
    /// What it claims of itself, each named `claimed.*`.
    pub labels: BTreeMap<String, String>,
    /// After how long an offer leaves the book unless it is quoted again, which a session does in time; none: never.
    pub offers_expire_after: Option<Duration>,
    /// What one invocation is said to get, in thousandths of a virtual CPU.
    pub vcpus_milli: u32,
    /// The memory that one invocation may ask for.
    pub memory_mb: RangeInclusive<u32>,
    /// The longest timeout that one invocation may ask for.
    pub longest_ms: u32,
    /// When all offers are to be pulled because they are leased too fast; none: never.
    pub protection: Option<Protection>,
    /// Where brokers reach what takes the calls; none: at the address of the listener of the invocation server.
    pub endpoint: Option<String>,
    /// What stands there: an agent, or a function server that knows nothing of Merit.
    pub adapter: Adapter,
}

/// Settings that no provider can work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct SettingsError {
    pub field: &'static str,
    pub message: String,
}

impl ProviderSettings {
    /// Within which an offer may expire: a second, so that it can be quoted again in time, to a day.
    pub const EXPIRE_AFTER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

    /// The ladder of the pool, the same in every market: what is free, then what the strategy makes.
    pub fn ladder(&self) -> Vec<Rung> {
        let free = self.free.as_ref().map(|quota| self.strategy.free_rung(self, quota));
        free.into_iter().chain(self.strategy.ladder(self)).collect()
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
        match &self.free {
            Some(Quota { requests: None, energy_mb_ms: None, .. }) => {
                return wrong("free", "neither requests nor energy have a bound".into());
            }
            Some(Quota { requests: Some(0), .. } | Quota { energy_mb_ms: Some(0), .. }) => {
                return wrong("free", "a bound of 0: nothing is free".into());
            }
            _ => {}
        }
        if let Some(after) = self.offers_expire_after.filter(|after| !ProviderSettings::EXPIRE_AFTER.contains(after)) {
            return wrong("offers_expire_after", format!("{after:?}; a second to a day"));
        }
        if self.ladder().len() > Strategy::MAX_RUNGS as usize {
            return wrong("offers", format!("{} rungs; at most {}", self.ladder().len(), Strategy::MAX_RUNGS));
        }
        let checked = self.ladder().iter().try_for_each(Rung::check);
        checked.map_err(|error| SettingsError { field: "offers", message: error.to_string() })
    }
}
