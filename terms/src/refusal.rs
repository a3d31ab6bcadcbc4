//! Refusals: what the market says no to, each with a code for machines and a sentence for people.

use std::fmt;

use crate::{Money, Price};

/// Why one offer does not serve one bid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The bid's markets do not include the offer's.
    Market,
    Region,
    NoDeployment,
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
    InsufficientFunds {
        needed: Money,
    },
}

/// Why a command changed nothing.
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
    /// Another session of the provider has taken over, or none is on.
    NotInSession,
    /// A quote number that was seen before: a repeat, already applied.
    StaleQuote {
        last: u64,
    },
    MaxConcurrency {
        running: u32,
        max_concurrency: u32,
    },
    /// A ladder with these rungs wrong; nothing of it was taken.
    Rungs {
        rungs: Vec<(u32, String)>,
    },
    /// No offer serves the bid; `class` says what the nearest one lacks.
    NoOffer {
        class: NoOffer,
        offers: u32,
        markets: u32,
    },
    /// The lease is settled, released or expired.
    Closed,
}

/// What the nearest offer lacks: funds before room before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoOffer {
    Funds,
    Room,
    Eligible,
}

impl Reason {
    pub const fn code(&self) -> &'static str {
        match self {
            Reason::Market => "market",
            Reason::Region => "region",
            Reason::NoDeployment => "no_deployment",
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
            Reason::InsufficientFunds { .. } => "insufficient_funds",
        }
    }

    /// Whether time alone may mend it: the offer lacks only room.
    pub const fn is_room(&self) -> bool {
        matches!(self, Reason::NoCapacity { .. } | Reason::NoSlot | Reason::Probing)
    }

    pub const fn is_funds(&self) -> bool {
        matches!(self, Reason::InsufficientFunds { .. })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Market => f.write_str("the function does not run in this market"),
            Reason::Region => f.write_str("the market is not among the regions asked for"),
            Reason::NoDeployment => f.write_str("the revision has no usable deployment at this provider"),
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
            Reason::InsufficientFunds { needed } => {
                write!(f, "the call may cost {needed} USD, more than the account has available")
            }
        }
    }
}

impl Refusal {
    pub const fn code(&self) -> &'static str {
        match self {
            Refusal::Unknown { .. } => "not_found",
            Refusal::Exists { .. } => "already_exists",
            Refusal::Forbidden { .. } => "forbidden",
            Refusal::Invalid { .. } | Refusal::Rungs { .. } => "invalid",
            Refusal::NotInSession => "not_in_session",
            Refusal::StaleQuote { .. } => "stale_quote",
            Refusal::MaxConcurrency { .. } => "max_concurrency",
            Refusal::NoOffer { class: NoOffer::Funds, .. } => "insufficient_funds",
            Refusal::NoOffer { class: NoOffer::Room, .. } => "no_capacity",
            Refusal::NoOffer { class: NoOffer::Eligible, .. } => "no_eligible_provider",
            Refusal::Closed => "closed",
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
                write!(f, "{running} invocations run, the function's max_concurrency is {max_concurrency}")
            }
            Refusal::NoOffer { class: NoOffer::Funds, .. } => {
                f.write_str("the worst case of the call is more than the account has available; deposit, or lower memory, timeout or Merit-Max-Cost")
            }
            Refusal::NoOffer { class: NoOffer::Room, offers, .. } => {
                write!(f, "every eligible provider is full ({offers} offers looked at); try again shortly")
            }
            Refusal::NoOffer { class: NoOffer::Eligible, offers: 0, .. } => {
                f.write_str("no provider offers anything in this call's markets; start one, or try again shortly")
            }
            Refusal::NoOffer { class: NoOffer::Eligible, offers, markets } => {
                write!(f, "none of {offers} offers in {markets} markets may serve this call; the quote lists why")
            }
            Refusal::Closed => f.write_str("the lease is closed; its invocation's record says what it cost"),
        }
    }
}
