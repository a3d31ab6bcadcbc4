//! The settings of a provider, and their check. Never reads a file or the environment.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use merit_terms::{Adapter, MarketName, Name, PoolSize, Protection, Quota, Rung, TargetPattern};

use crate::strategy::Strategy;

/// The settings by which one provider sells.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    pub name: Name,
    /// Markets of the pool, at least one. The same memory may be listed in several and is sold once.
    pub markets: Vec<MarketName>,
    /// Capacity of the pool; its slots are the threads of the host, one guest each.
    pub pool: PoolSize,
    /// CPU share of each thread, above 0 and at most 1.
    pub cpu_share: f64,
    pub strategy: Strategy,
    /// Quota of a free tier, sold before anybody pays.
    pub free: Option<Quota>,
    /// The accounts that it sells to; empty for all.
    pub audience: Vec<Name>,
    /// The provider's own claims, each named `claimed.*`.
    pub labels: BTreeMap<String, String>,
    /// Lifetime of an offer, which the session quotes again in time; `None` if offers never expire.
    pub offers_expire_after: Option<Duration>,
    /// CPU share stated for one invocation, in thousandths of a virtual CPU.
    pub vcpus_milli: u32,
    /// Memory that one invocation may ask for, in MB.
    pub memory_mb: RangeInclusive<u32>,
    /// Maximum timeout of one invocation, in ms.
    pub longest_ms: u32,
    /// Maker protection, if any.
    pub protection: Option<Protection>,
    /// URL of the endpoint that takes the calls; `None` for the listener of the invocation server.
    pub endpoint: Option<String>,
    /// Protocol of the endpoint.
    pub adapter: Adapter,
    /// Targets that functions may name beside those at the endpoint; `None` leaves those that the exchange knows.
    pub targets: Option<Vec<TargetPattern>>,
}

/// Settings that no provider can work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct SettingsError {
    pub field: &'static str,
    pub message: String,
}

impl ProviderSettings {
    /// Bounds of an offer's lifetime: a second, so that it can be quoted again in time, to a day.
    pub const EXPIRE_AFTER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

    /// Makes the ladder of the pool, the same in every market: the free rung, then the rungs of the strategy.
    pub fn ladder(&self) -> Vec<Rung> {
        let whole = self.whole_pool();
        let free = self.free.as_ref().map(|quota| self.strategy.free_rung(&whole, quota));
        free.into_iter().chain(self.strategy.ladder(&whole)).collect()
    }

    /// Returns the rung that sells the whole pool at the strategy's own tariff.
    fn whole_pool(&self) -> Rung {
        Rung {
            id: 0,
            pool: 0,
            capacity_mb: self.pool.memory_mb,
            tariff: self.strategy.tariff(),
            vcpus_milli: self.vcpus_milli,
            memory_min_mb: *self.memory_mb.start(),
            memory_max_mb: *self.memory_mb.end(),
            longest_ms: self.longest_ms,
            enforces_timeout: self.adapter.enforces_timeout(),
            labels: self.labels.clone(),
            audience: self.audience.clone(),
            quota: None,
            expires: None,
        }
    }

    /// Refuses settings that the exchange would refuse or that could never sell.
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
