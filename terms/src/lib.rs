//! The vocabulary of the market: money, tariffs, names, ids, time, usage, outcomes and refusals.
//!
//! Everything in Merit may import this crate. It never does IO, reads no clock, knows no protocol
//! and holds no state.

mod adapter;
mod bid;
mod budget;
mod ids;
mod key;
mod lease;
mod money;
mod name;
mod offer;
mod port;
mod refusal;
mod refusal_code;
mod target;
mod tariff;
mod time;
mod usage;

pub use adapter::Adapter;
pub use bid::{Limits, LimitsError};
pub use budget::Budget;
pub use ids::{AccountId, FunctionId, LeaseId, LeaseIdError, MarketId, OfferId, ProviderId};
pub use key::{Credential, CredentialError, KeyId, KeyIdError, Role, RoleError};
pub use lease::{Execution, InvocationState, Outcome};
pub use money::{Balance, Money, MoneyError, Price};
pub use name::{MarketName, MarketPattern, Name, NameError};
pub use offer::{PoolSize, Protection, Quota, Rung, RungError};
pub use port::{PortError, port_of};
pub use refusal::{NoOffer, Reason, Refusal, WARMING_MAX_S};
pub use refusal_code::{RefusalCode, RefusalCodeError};
pub use target::{
    TARGETS_MAX, TargetPattern, TargetPatternError, has_encoded_separator, is_at_endpoint, is_url_target,
};
pub use tariff::{Tariff, TariffError};
pub use time::{Period, Time, TimeError};
pub use usage::{LOG_MAX_BYTES, Metered, Usage};

/// Maximum memory of a function, an offer or a rung, in MB: 64 GB.
pub const MEMORY_MAX_MB: u32 = 65_536;
/// Maximum timeout of a function in milliseconds: one hour, the longest request that any listed platform allows.
pub const TIMEOUT_MAX_MS: u32 = 3_600_000;
/// Maximum virtual CPUs of one invocation, in thousandths.
pub const VCPUS_MAX_MILLI: u32 = 64_000;
/// Maximum egress that one answer is billed for, in bytes: 64 GB.
pub const EGRESS_MAX_BYTES: u64 = 64 << 30;
