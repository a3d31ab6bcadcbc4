//! Functions as they are put: code, settings, and the shares of an alias.

use std::collections::BTreeMap;

use merit_terms::{AccountId, Budget, Limits, MarketPattern, Name};
use serde::{Deserialize, Serialize};

/// The alias that a call without a qualifier means.
pub const LIVE: &str = "live";

/// A whole share of an alias's calls, in thousandths.
pub const WEIGHT_MAX: u32 = 1_000;

#[derive(Clone, Debug, PartialEq)]
pub struct PutFunction {
    pub account: AccountId,
    pub name: Name,
    pub code: Code,
    pub settings: FunctionSettings,
}

/// The content of a revision: a function put with other code gets a new revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    pub memory_mb: u32,
    pub timeout_ms: u32,
    pub environment: BTreeMap<String, String>,
    /// SHA-256 of a WebAssembly module.
    pub module: Option<[u8; 32]>,
    /// Deployments by name, apart from the module: provider and target there.
    pub deployments: BTreeMap<Name, String>,
}

/// The settings of a function, for every revision. The default: providers of its own account, in every market, and no
/// limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionSettings {
    pub idempotent: bool,
    pub audience: Audience,
    /// The markets in which it may run; none listed: every market.
    pub markets: Vec<MarketPattern>,
    pub max_concurrency: Option<u32>,
    pub labels: BTreeMap<String, String>,
    pub limits: Limits,
    /// Budgets, at most one a period.
    pub budgets: Vec<Budget>,
    /// Rate limit, in calls a second, of callers without a key or of another account; its own account pays for them.
    /// None: such calls are refused. Brokers enforce it; the engine only keeps it.
    pub public_per_second: Option<u32>,
    /// Set where the logs of further calls are neither kept nor told. Brokers see to it; the engine only keeps it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub logs_off: bool,
}

/// The providers that may run a function; only they get its module and payloads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Audience {
    /// Providers of the function's own account.
    #[default]
    Own,
    Listed(Vec<Name>),
    Any,
}

/// The revision that a call asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Qualifier {
    #[default]
    Live,
    Revision(u32),
    Alias(Name),
}

/// The second revision of an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    pub revision: u32,
    /// Its share of the alias's calls, in thousandths.
    pub weight: u32,
}
