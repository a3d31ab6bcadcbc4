//! Providers as they register, log on and quote.

use std::collections::BTreeMap;

use merit_terms::{
    AccountId, Adapter, MarketId, Money, Name, PoolSize, Protection, ProviderId, Quota, Rung, TargetPattern,
};
use serde::{Deserialize, Serialize};

/// The operator's limits of a provider; `None` sets no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderLimits {
    /// Maximum live offers in all markets.
    pub offers: Option<u32>,
    /// Maximum quotes in each second of the clock.
    pub quotes_per_second: Option<u32>,
    /// Maximum of the worst cases of its open leases together.
    pub exposure: Option<Money>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RegisterProvider {
    pub name: Name,
    pub account: AccountId,
    pub kind: ProviderKind,
    /// Labels about residency or trust that the operator grants.
    pub labels: BTreeMap<String, String>,
}

/// The buyers that a provider serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProviderKind {
    /// Its owner's cloud account or cluster: bills its owner directly, so no money moves here.
    #[default]
    Own,
    /// Sells to all that it chooses.
    Market,
}

/// The beginning of a provider's session. A session that was on ends, and its offers with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Logon {
    pub provider: ProviderId,
    pub endpoint: String,
    pub pools: Vec<PoolSize>,
    /// The quotas that it sells under. A known quota keeps the usage of its period.
    pub quotas: Vec<Quota>,
    pub protection: Option<Protection>,
    pub adapter: Adapter,
    /// True if the operator vouches for the endpoint.
    pub endpoint_trusted: bool,
    /// Its owner's patterns of targets from now on; `None` leaves them as they are.
    pub targets: Option<Vec<TargetPattern>>,
}

/// A whole ladder: replaces the provider's offers in this market, all or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Quote {
    pub provider: ProviderId,
    pub session: u32,
    pub market: MarketId,
    /// Number of the quote; grows within a session. A repeat changes nothing.
    pub number: u64,
    pub rungs: Vec<Rung>,
}
