//! A caller's limits on the offer that serves its call. Never decides which offer that is.

use serde::{Deserialize, Serialize};

use crate::{MarketPattern, Money, Name, Price};

/// A caller's limits on an offer. Empty lists and `None` set no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Limits {
    /// Maximum cost of the whole call; never exceeded.
    pub max_cost: Option<Money>,
    /// Maximum reference price of the offer.
    pub max_price: Option<Price>,
    /// Maximum predicted latency in milliseconds: wall time and cold start together.
    pub max_latency_ms: Option<u32>,
    pub only: Vec<Name>,
    pub ignore: Vec<Name>,
    pub markets: Vec<MarketPattern>,
    /// Labels that the operator must have granted the provider.
    pub labels: Vec<(String, String)>,
}

/// A list of limits that is too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} has {count} entries; at most {most}")]
pub struct LimitsError {
    pub field: &'static str,
    pub count: usize,
    pub most: usize,
}

impl Limits {
    /// Maximum length of each list.
    pub const MAX_ENTRIES: usize = 16;

    /// Refuses a list of more than [`Limits::MAX_ENTRIES`] entries.
    pub fn check(&self) -> Result<(), LimitsError> {
        let most = Limits::MAX_ENTRIES;
        let lists = [
            ("only", self.only.len()),
            ("ignore", self.ignore.len()),
            ("regions", self.markets.len()),
            ("labels", self.labels.len()),
        ];
        match lists.into_iter().find(|(_, count)| *count > most) {
            Some((field, count)) => Err(LimitsError { field, count, most }),
            None => Ok(()),
        }
    }

    /// Returns true if `only` names `provider` or is empty, and `ignore` does not name it.
    pub fn permits(&self, provider: &Name) -> bool {
        (self.only.is_empty() || self.only.contains(provider)) && !self.ignore.contains(provider)
    }
}
