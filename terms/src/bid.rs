//! What a caller asks of the offer that serves it.

use serde::{Deserialize, Serialize};

use crate::{MarketPattern, Money, Name, Price};

/// The caller's limits on an offer. Empty lists and `None` ask nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Limits {
    /// The most the whole call may cost; a hard limit.
    pub max_cost: Option<Money>,
    /// The most the offer's reference price may be.
    pub max_price: Option<Price>,
    /// The most the predicted wall time and cold start may be.
    pub max_latency_ms: Option<u32>,
    pub only: Vec<Name>,
    pub ignore: Vec<Name>,
    pub markets: Vec<MarketPattern>,
    /// Labels that the operator must have granted the provider.
    pub labels: Vec<(String, String)>,
}

/// Why limits are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} has {count} entries; at most {most}")]
pub struct LimitsError {
    pub field: &'static str,
    pub count: usize,
    pub most: usize,
}

impl Limits {
    pub const MAX_ENTRIES: usize = 16;

    /// Refuses a list of more than [`Limits::MAX_ENTRIES`].
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

    /// Whether `provider` is among those asked for and not among those left out.
    pub fn permits(&self, provider: &Name) -> bool {
        (self.only.is_empty() || self.only.contains(provider)) && !self.ignore.contains(provider)
    }
}
