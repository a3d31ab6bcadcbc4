//! What happened: facts for projections (tape, records, books) and sessions. Events change nothing.

use merit_terms::{
    AccountId, FunctionId, LeaseId, MarketId, MarketName, Money, Name, OfferId, Outcome, Price, ProviderId, Tariff,
    Time,
};

use crate::Settlement;

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An offer as it now stands in its book; capacity 0: it is gone.
    Offer(OfferChange),
    Granted(Box<Lease>),
    /// A lease is paid. What was executed is on the tape as a trade.
    Settled {
        lease: Box<Lease>,
        outcome: Outcome,
        settlement: Settlement,
        spot_price: Option<Price>,
    },
    /// A lease ended at cost 0.
    Ended {
        lease: Box<Lease>,
        how: Ending,
    },
    /// Money moved between two accounts.
    Moved {
        from: AccountId,
        to: AccountId,
        amount: Money,
    },
    MarketCreated {
        market: MarketId,
        name: MarketName,
    },
    SessionBegan {
        provider: ProviderId,
        name: Name,
        session: u32,
    },
    SessionEnded {
        provider: ProviderId,
        session: u32,
    },
}

/// Why a lease ended without a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing was sent.
    NotSent,
    /// Sent, no answer, no claim.
    Unknown,
    /// Nobody settled it before its time to be settled passed.
    Expired,
}

/// An offer as it stands in its book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferChange {
    pub market: MarketId,
    pub offer: OfferId,
    pub provider: ProviderId,
    pub price: Price,
    pub capacity_mb: u64,
    pub free_mb: u64,
    pub tariff: Tariff,
}

/// A match: the tariff is frozen in it; it takes memory and one slot until it is settled, released or expires.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    pub id: LeaseId,
    pub invocation: LeaseId,
    pub attempt: u32,
    pub account: AccountId,
    pub function: FunctionId,
    pub revision: u32,
    pub provider: ProviderId,
    pub market: MarketId,
    pub offer: OfferId,
    pub price: Price,
    pub tariff: Tariff,
    pub vcpus_milli: u32,
    pub memory_mb: u32,
    pub timeout_ms: u32,
    pub quoted_cost: Money,
    pub hold: Money,
    pub matched_at: Time,
    /// When its capacity returns if it is not settled.
    pub capacity_until: Time,
    /// When its hold closes if it is not settled.
    pub settle_by: Time,
    /// Who would have served it next, and the cost predicted there.
    pub runner_up: Option<(ProviderId, Money)>,
    pub state: LeaseState,
    /// Whether its place in the ranking rests on no history of its provider.
    pub on_prior: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeaseState {
    Running,
    /// Its capacity has returned; it can still be settled.
    Overdue,
    /// Sent, no answer: its hold has closed, its capacity is still taken.
    Unknown,
}
