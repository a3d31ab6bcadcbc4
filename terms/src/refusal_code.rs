//! The codes of refusals, for machines: the words that travel over the wire and stand in answers.

use std::fmt;
use std::str::FromStr;

/// The kind of a refusal. The wire carries its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalCode {
    NotFound,
    AlreadyExists,
    Forbidden,
    Invalid,
    NotInSession,
    StaleQuote,
    MaxConcurrency,
    InsufficientFunds,
    BudgetExceeded,
    NoCapacity,
    /// Every eligible provider is behind: after failures, or warming.
    NoSupply,
    NoEligibleProvider,
    Closed,
    Forgotten,
    AccountFrozen,
    ProviderKilled,
    MarketClosed,
    OverLimit,
    UnknownRules,
    /// The exchange keeps what is left of its disk for settlements.
    DiskLow,
}

/// A text that is not the code of a refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the code of a refusal")]
pub struct RefusalCodeError(String);

impl RefusalCode {
    pub const ALL: [RefusalCode; 20] = [
        RefusalCode::NotFound,
        RefusalCode::AlreadyExists,
        RefusalCode::Forbidden,
        RefusalCode::Invalid,
        RefusalCode::NotInSession,
        RefusalCode::StaleQuote,
        RefusalCode::MaxConcurrency,
        RefusalCode::InsufficientFunds,
        RefusalCode::BudgetExceeded,
        RefusalCode::NoCapacity,
        RefusalCode::NoSupply,
        RefusalCode::NoEligibleProvider,
        RefusalCode::Closed,
        RefusalCode::Forgotten,
        RefusalCode::AccountFrozen,
        RefusalCode::ProviderKilled,
        RefusalCode::MarketClosed,
        RefusalCode::OverLimit,
        RefusalCode::UnknownRules,
        RefusalCode::DiskLow,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            RefusalCode::NotFound => "not_found",
            RefusalCode::AlreadyExists => "already_exists",
            RefusalCode::Forbidden => "forbidden",
            RefusalCode::Invalid => "invalid",
            RefusalCode::NotInSession => "not_in_session",
            RefusalCode::StaleQuote => "stale_quote",
            RefusalCode::MaxConcurrency => "max_concurrency",
            RefusalCode::InsufficientFunds => "insufficient_funds",
            RefusalCode::BudgetExceeded => "budget_exceeded",
            RefusalCode::NoCapacity => "no_capacity",
            RefusalCode::NoSupply => "no_supply",
            RefusalCode::NoEligibleProvider => "no_eligible_provider",
            RefusalCode::Closed => "closed",
            RefusalCode::Forgotten => "forgotten",
            RefusalCode::AccountFrozen => "account_frozen",
            RefusalCode::ProviderKilled => "provider_killed",
            RefusalCode::MarketClosed => "market_closed",
            RefusalCode::OverLimit => "over_limit",
            RefusalCode::UnknownRules => "unknown_rules",
            RefusalCode::DiskLow => "disk_low",
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RefusalCode {
    type Err = RefusalCodeError;
    fn from_str(text: &str) -> Result<RefusalCode, RefusalCodeError> {
        let found = RefusalCode::ALL.into_iter().find(|code| code.as_str() == text);
        found.ok_or_else(|| RefusalCodeError(text.to_owned()))
    }
}
