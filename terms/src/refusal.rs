//! Refusals as values: each has a code for machines and a sentence for people.

use std::fmt;

use crate::{Money, Name, Period, Price, RefusalCode, Time};

/// Longest time that a provider may name for loading a module, in seconds.
pub const WARMING_MAX_S: u32 = 600;

/// The reason for which one offer does not serve one bid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The bid's markets do not include the offer's.
    Market,
    Region,
    NoDeployment,
    /// The deployment's target is neither at the provider's endpoint nor allowed by the provider's owner.
    TargetNotAllowed,
    NotAllowed,
    Excluded,
    AlreadyTried,
    MissingLabel {
        label: String,
    },
    MemoryRange {
        asked_mb: u32,
        least_mb: u32,
        most_mb: u32,
    },
    TooLong {
        asked_ms: u32,
        longest_ms: u32,
    },
    MaxPrice {
        price: Price,
        max_price: Price,
    },
    MaxLatency {
        predicted_ms: u64,
        max_latency_ms: u32,
    },
    MaxCost {
        least: Money,
        max_cost: Money,
    },
    CannotCutTimeout {
        worst: Money,
        max_cost: Money,
    },
    Probing,
    NoCapacity {
        asked_mb: u32,
        free_mb: u64,
    },
    NoSlot,
    /// The rest of the pool is kept for accounts without a call there.
    AccountShare,
    InsufficientFunds {
        needed: Money,
    },
    /// A budget of the function or of the account is too low for the worst case in this period.
    BudgetExceeded {
        period: Period,
        needed: Money,
    },
    /// The quota of the offer is used up until it renews.
    QuotaExhausted {
        quota: Name,
    },
    /// The operator has closed the market to matches.
    MarketClosed,
    /// Its price is outside the market's bands.
    OutsideBands,
    /// The operator has stopped the provider, or frozen its account.
    Barred,
    SelfDealing,
    /// The provider's open leases have reached the exposure limit that the operator set.
    Exposure,
    /// The provider failed: others go before it until then. Where no other serves: the end of its pause.
    BackingOff {
        until: Time,
    },
    /// The provider failed and one trial call is on its way.
    OnTrial,
    /// The provider is loading the revision's module; it is behind until then.
    Warming {
        until: Time,
    },
}

/// The reason for which a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Unknown {
        what: &'static str,
        name: String,
    },
    Exists {
        what: &'static str,
        name: String,
    },
    Forbidden {
        message: String,
    },
    Invalid {
        field: String,
        message: String,
    },
    /// Another session of the provider has taken over, or the provider has none.
    NotInSession,
    /// The quote number was seen before: the quote is a repeat and was applied.
    StaleQuote {
        last: u64,
    },
    /// The function or its account runs as many invocations as it may have at once.
    MaxConcurrency {
        running: u32,
        max_concurrency: u32,
    },
    /// These rungs of a ladder are wrong; no rung was taken.
    Rungs {
        rungs: Vec<(u32, String)>,
    },
    /// No offer serves the bid; `class` says what the nearest offer lacks.
    NoOffer {
        class: NoOffer,
        offers: u32,
        markets: u32,
        /// Milliseconds until the first provider that is behind is expected back. None if that is not known.
        retry_after_ms: Option<u64>,
    },
    /// The lease is settled, released or expired; the bid is matched, cancelled or expired.
    Closed,
    /// A crash lost the lease: it is settled by its proof.
    Forgotten,
    /// The operator has frozen the account: it neither buys nor sells, and nothing is paid out of it.
    Frozen {
        account: String,
    },
    /// The operator has stopped the provider.
    Killed {
        reason: String,
    },
    /// The market takes no such command in its state.
    MarketClosed {
        state: &'static str,
    },
    /// A limit of the operator is reached.
    OverLimit {
        limit: &'static str,
        most: u64,
    },
    /// The account has less than the amount beyond its holds.
    InsufficientFunds {
        available: String,
    },
    /// The engine does not have these rules.
    /// The exchange keeps what is left of its disk for settlements.
    DiskLow {
        /// In the plural.
        what: &'static str,
        free_mb: u64,
        kept_mb: u64,
    },
    UnknownRules {
        version: u32,
    },
}

/// The nearest offer's obstacle, in order of precedence: funds, budget, room, a provider that is behind, eligibility.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoOffer {
    Funds,
    Budget,
    Room,
    Behind,
    Eligible,
}

impl Reason {
    pub const fn code(&self) -> &'static str {
        match self {
            Reason::Market => "market",
            Reason::Region => "region",
            Reason::NoDeployment => "no_deployment",
            Reason::TargetNotAllowed => "target_not_allowed",
            Reason::NotAllowed => "not_allowed",
            Reason::Excluded => "excluded",
            Reason::AlreadyTried => "already_tried",
            Reason::MissingLabel { .. } => "missing_label",
            Reason::MemoryRange { .. } => "memory_range",
            Reason::TooLong { .. } => "too_long",
            Reason::MaxPrice { .. } => "max_price",
            Reason::MaxLatency { .. } => "max_latency",
            Reason::MaxCost { .. } => "max_cost",
            Reason::CannotCutTimeout { .. } => "cannot_cut_timeout",
            Reason::Probing => "probing",
            Reason::NoCapacity { .. } => "no_capacity",
            Reason::NoSlot => "no_slot",
            Reason::AccountShare => "account_share",
            Reason::InsufficientFunds { .. } => "insufficient_funds",
            Reason::BudgetExceeded { .. } => "budget_exceeded",
            Reason::QuotaExhausted { .. } => "quota_exhausted",
            Reason::MarketClosed => "market_closed",
            Reason::OutsideBands => "outside_bands",
            Reason::Barred => "barred",
            Reason::SelfDealing => "self_dealing",
            Reason::Exposure => "exposure",
            Reason::BackingOff { .. } => "backing_off",
            Reason::OnTrial => "on_trial",
            Reason::Warming { .. } => "warming",
        }
    }

    /// Returns true if the offer lacks only room, which may free itself in time.
    pub const fn is_room(&self) -> bool {
        matches!(
            self,
            Reason::NoCapacity { .. }
                | Reason::NoSlot
                | Reason::AccountShare
                | Reason::Probing
                | Reason::QuotaExhausted { .. }
                | Reason::Exposure
        )
    }

    /// Returns true if the provider is behind: after failures, on trial, or warming.
    pub const fn is_behind(&self) -> bool {
        matches!(self, Reason::BackingOff { .. } | Reason::OnTrial | Reason::Warming { .. })
    }

    /// Returns the time until which the provider is behind, if it is known.
    pub const fn behind_until(&self) -> Option<Time> {
        match self {
            Reason::BackingOff { until } | Reason::Warming { until } => Some(*until),
            _ => None,
        }
    }

    /// Returns the class of the refusal for a bid that every offer refuses for this reason.
    pub const fn class(&self) -> NoOffer {
        match self {
            Reason::InsufficientFunds { .. } => NoOffer::Funds,
            Reason::BudgetExceeded { .. } => NoOffer::Budget,
            reason if reason.is_room() => NoOffer::Room,
            reason if reason.is_behind() => NoOffer::Behind,
            _ => NoOffer::Eligible,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Market => f.write_str("the function does not run in this market"),
            Reason::Region => f.write_str("the market is not among the regions asked for"),
            Reason::NoDeployment => f.write_str("the revision has no usable deployment at this provider"),
            Reason::TargetNotAllowed => f.write_str(
                "the deployment's target is not below the provider's endpoint, and no pattern of its owner allows it; \
                 name a path, such as /resize, or ask the owner for the target",
            ),
            Reason::NotAllowed => {
                f.write_str("the function does not allow this provider, or the provider does not serve this account")
            }
            Reason::Excluded => f.write_str("the caller's Merit-Only or Merit-Ignore leaves it out"),
            Reason::AlreadyTried => f.write_str("an earlier attempt of this invocation failed there"),
            Reason::MissingLabel { label } => write!(f, "the operator has not granted the label {label}"),
            Reason::MemoryRange { asked_mb, least_mb, most_mb } => {
                write!(f, "{asked_mb} MB asked, {least_mb} to {most_mb} MB sold")
            }
            Reason::TooLong { asked_ms, longest_ms } => {
                write!(f, "a timeout of {asked_ms} ms asked, at most {longest_ms} ms sold")
            }
            Reason::MaxPrice { price, max_price } => {
                write!(f, "its price is {price} USD per GB-s, the limit {max_price}")
            }
            Reason::MaxLatency { predicted_ms, max_latency_ms } => {
                write!(f, "predicted to take {predicted_ms} ms, the limit is {max_latency_ms} ms")
            }
            Reason::MaxCost { least, max_cost } => write!(f, "costs at least {least} USD, the limit is {max_cost}"),
            Reason::CannotCutTimeout { worst, max_cost } => {
                write!(f, "may cost {worst} USD, the limit is {max_cost}, and the provider does not stop a call early")
            }
            Reason::Probing => f.write_str("the provider is new to this function and one call is trying it"),
            Reason::NoCapacity { asked_mb, free_mb } => write!(f, "{asked_mb} MB asked, {free_mb} MB free"),
            Reason::NoSlot => f.write_str("every slot is taken"),
            Reason::AccountShare => f.write_str("the rest of the provider is kept for accounts without a call there"),
            Reason::InsufficientFunds { needed } => {
                write!(f, "the call may cost {needed} USD, more than the account has available")
            }
            Reason::BudgetExceeded { period, needed } => {
                write!(f, "the call may cost {needed} USD, more than is left of a budget for this {period}")
            }
            Reason::QuotaExhausted { quota } => write!(f, "the quota {quota} has not enough left until it renews"),
            Reason::MarketClosed => {
                f.write_str("the market is not open: its operator has halted it, or lets offers only be cancelled")
            }
            Reason::OutsideBands => f.write_str("its price is outside the market's bands"),
            Reason::Barred => f.write_str("the operator has stopped the provider or frozen its account"),
            Reason::SelfDealing => f.write_str("the buyer would buy from itself, which this market does not allow"),
            Reason::Exposure => f.write_str("the provider's open leases are worth as much as the operator allows"),
            Reason::BackingOff { until } => write!(f, "the provider failed, and others go before it until {until}"),
            Reason::OnTrial => f.write_str("the provider failed and one call is trying whether it is back"),
            Reason::Warming { until } => {
                write!(f, "the provider is loading the function, and others go before it until {until}")
            }
        }
    }
}

impl Refusal {
    pub const fn code(&self) -> RefusalCode {
        match self {
            Refusal::Unknown { .. } => RefusalCode::NotFound,
            Refusal::Exists { .. } => RefusalCode::AlreadyExists,
            Refusal::Forbidden { .. } => RefusalCode::Forbidden,
            Refusal::Invalid { .. } | Refusal::Rungs { .. } => RefusalCode::Invalid,
            Refusal::NotInSession => RefusalCode::NotInSession,
            Refusal::StaleQuote { .. } => RefusalCode::StaleQuote,
            Refusal::MaxConcurrency { .. } => RefusalCode::MaxConcurrency,
            Refusal::NoOffer { class: NoOffer::Funds, .. } | Refusal::InsufficientFunds { .. } => {
                RefusalCode::InsufficientFunds
            }
            Refusal::NoOffer { class: NoOffer::Budget, .. } => RefusalCode::BudgetExceeded,
            Refusal::NoOffer { class: NoOffer::Room, .. } => RefusalCode::NoCapacity,
            Refusal::NoOffer { class: NoOffer::Behind, .. } => RefusalCode::NoSupply,
            Refusal::NoOffer { class: NoOffer::Eligible, .. } => RefusalCode::NoEligibleProvider,
            Refusal::Closed => RefusalCode::Closed,
            Refusal::Forgotten => RefusalCode::Forgotten,
            Refusal::Frozen { .. } => RefusalCode::AccountFrozen,
            Refusal::Killed { .. } => RefusalCode::ProviderKilled,
            Refusal::MarketClosed { .. } => RefusalCode::MarketClosed,
            Refusal::OverLimit { .. } => RefusalCode::OverLimit,
            Refusal::UnknownRules { .. } => RefusalCode::UnknownRules,
            Refusal::DiskLow { .. } => RefusalCode::DiskLow,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Unknown { what, name } => write!(f, "there is no {what} `{name}`"),
            Refusal::Exists { what, name } => write!(f, "the {what} `{name}` exists already"),
            Refusal::Forbidden { message } => f.write_str(message),
            Refusal::Invalid { field, message } => write!(f, "{field}: {message}"),
            Refusal::Rungs { rungs } => {
                f.write_str("the ladder is refused")?;
                rungs.iter().try_for_each(|(id, reason)| write!(f, "; rung {id}: {reason}"))
            }
            Refusal::NotInSession => f.write_str("the provider has no such session; log on again"),
            Refusal::StaleQuote { last } => write!(f, "the quote number must grow; the last one was {last}"),
            Refusal::MaxConcurrency { running, max_concurrency } => {
                let who = "of the function or its account";
                write!(f, "{running} invocations {who} run, and its max_concurrency is {max_concurrency}")
            }
            Refusal::NoOffer { class: NoOffer::Funds, .. } => f.write_str(
                "the worst case of the call is more than the account has available; deposit, or lower memory, \
                     timeout or Merit-Max-Cost",
            ),
            Refusal::NoOffer { class: NoOffer::Budget, .. } => f.write_str(
                "the worst case of the call is more than is left of a budget for this day or month; raise the \
                     budget, or lower memory, timeout or Merit-Max-Cost",
            ),
            Refusal::NoOffer { class: NoOffer::Room, offers, .. } => {
                write!(
                    f,
                    "every eligible provider is full for this account ({offers} \
                     offers looked at); the quote lists why; try again shortly"
                )
            }
            Refusal::NoOffer { class: NoOffer::Behind, retry_after_ms, .. } => {
                let seconds = retry_after_ms.map(|millis| millis.div_ceil(1000).max(1));
                let when = seconds.map_or_else(|| "shortly".to_owned(), |seconds| format!("in {seconds} s"));
                let why = "every eligible provider failed lately or is loading the function";
                write!(f, "{why}; the quote lists why; try again {when}")
            }
            Refusal::NoOffer { class: NoOffer::Eligible, offers: 0, .. } => {
                f.write_str("no provider offers anything in this call's markets; start one, or try again shortly")
            }
            Refusal::NoOffer { class: NoOffer::Eligible, offers, markets, .. } => {
                let s = if *markets == 1 { "" } else { "s" };
                write!(f, "none of {offers} offers in {markets} market{s} may serve this call; the quote lists why")
            }
            Refusal::Closed => f.write_str("the lease is closed; its invocation's record says what it cost"),
            Refusal::Forgotten => f.write_str("a crash forgot the lease; settle it again with its token"),
            Refusal::Frozen { account } => write!(f, "the operator has frozen the account {account}"),
            Refusal::Killed { reason } => write!(f, "the operator has stopped the provider: {reason}"),
            Refusal::MarketClosed { state } => write!(f, "the market is {state}; it takes this again once it is open"),
            Refusal::OverLimit { limit, most } => write!(f, "the operator allows {most} {limit}"),
            Refusal::InsufficientFunds { available } => {
                write!(f, "the account has {available} USD beyond what is held")
            }
            Refusal::DiskLow { what, free_mb, kept_mb } => {
                write!(f, "the exchange takes no {what}: its disk has {free_mb} MB left, and keeps {kept_mb} MB free")
            }
            Refusal::UnknownRules { version } => {
                write!(f, "there are no rules {version} in this version; use the release that activated them")
            }
        }
    }
}
