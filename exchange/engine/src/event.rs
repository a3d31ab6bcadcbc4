//! What happened: facts for projections (tape, records, books) and sessions. Events change nothing.

use merit_terms::{
    AccountId, FunctionId, KeyId, LeaseId, MarketId, MarketName, Money, Name, OfferId, Outcome, Price, ProviderId,
    Tariff, Time, Usage,
};
use serde::{Deserialize, Serialize};

use crate::{BrokerRequest, Deferred, Grant, LeaseTerms, MarketTerms, Settlement};

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An offer as it was posted or quoted again. Free is the less of capacity - leased and the pool's free memory.
    Offer(OfferChange),
    /// An offer left its book. Its leases go on, and keep counting on its pool.
    OfferGone {
        market: MarketId,
        offer: OfferId,
        provider: ProviderId,
        price: Price,
    },
    /// What is leased on a live offer now.
    OfferLeased {
        market: MarketId,
        offer: OfferId,
        price: Price,
        leased_mb: u64,
    },
    /// What a pool has free now; 0 without a free slot. Every live offer on it has at most that.
    Pool {
        provider: ProviderId,
        pool: u32,
        free_mb: u64,
    },
    /// A deferred bid rests, on the bid side of each of these markets.
    BidRested(Box<Resting>),
    /// A deferred bid left the books.
    BidGone {
        resting: Box<Resting>,
        how: BidEnding,
    },
    Granted(Box<Lease>),
    /// A deferred bid was matched: its broker is to take it up within a second. Its [`Event::Granted`] comes first.
    Offered(Box<Grant>),
    /// A lease is paid. What was executed is on the tape as a trade.
    Settled {
        lease: Box<Lease>,
        outcome: Outcome,
        settlement: Settlement,
        spot_price: Option<Price>,
    },
    /// A lease ended at cost 0, or is paid by a claim nobody else settled.
    Ended {
        lease: Box<Lease>,
        how: Ending,
    },
    /// A provider claimed what a lease used.
    Claimed {
        lease: LeaseId,
        provider: ProviderId,
        usage: Usage,
    },
    /// Money moved between two accounts.
    Moved {
        from: AccountId,
        to: AccountId,
        amount: Money,
        why: Why,
    },
    AccountOpened {
        account: AccountId,
        name: String,
    },
    MarketCreated {
        market: MarketId,
        name: MarketName,
    },
    MarketChanged {
        market: MarketId,
        terms: MarketTerms,
    },
    ProviderRegistered {
        provider: ProviderId,
        name: Name,
    },
    SessionBegan {
        provider: ProviderId,
        name: Name,
        session: u32,
    },
    SessionEnded {
        provider: ProviderId,
        session: u32,
        why: SessionEnding,
    },
    /// All offers of a provider were pulled: it was leased as fast as it asked to be protected from.
    Protected {
        provider: ProviderId,
    },
    /// A provider is left out until then, for one revision or for all; at its own time (0): it is back.
    Health {
        provider: ProviderId,
        revision: Option<(FunctionId, u32)>,
        until: Time,
    },
    /// A key was made, revoked or rotated.
    KeyChanged {
        key: KeyId,
    },
}

/// Why money moved.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    Deposit,
    Payout,
    Correction {
        about: Option<LeaseId>,
        reason: String,
    },
    Refund {
        about: Option<LeaseId>,
        reason: String,
    },
    /// The cost of a lease, from its buyer.
    Cost {
        lease: LeaseId,
        invocation: LeaseId,
    },
    /// The operator's fee on it, from its seller.
    Fee {
        lease: LeaseId,
        invocation: LeaseId,
    },
    /// What a forgotten lease cost beyond what its buyer had, from the operator.
    Loss {
        lease: LeaseId,
        invocation: LeaseId,
    },
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnding {
    Lost,
    /// By its own logout; offers may stand until they expire.
    Logout,
    /// Another session of the provider began.
    Fenced,
    Killed,
    /// The exchange began a new run.
    Restarted,
}

/// Why a deferred bid left the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BidEnding {
    /// It was matched; its lease may yet be released, and it rests again.
    Matched,
    Cancelled,
    Expired,
}

/// Why a lease ended without a broker's bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// Nothing was sent.
    NotSent,
    /// Sent, no answer. A claim may still come.
    Unknown,
    /// Nobody settled it before its time to be settled passed.
    Expired,
    /// The broker did not take it up in time; its bid rests again.
    NotTakenUp,
    /// The operator closed it.
    Closed,
}

/// An offer as it stands in its book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferChange {
    pub market: MarketId,
    pub offer: OfferId,
    pub provider: ProviderId,
    /// Which of the provider's pools it sells.
    pub pool: u32,
    pub price: Price,
    pub capacity_mb: u64,
    /// What is leased on it.
    pub leased_mb: u64,
    /// What is free of it, at most what its pool has free.
    pub free_mb: u64,
    pub tariff: Tariff,
}

/// A deferred bid in the books.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resting {
    pub id: LeaseId,
    pub deferred: Deferred,
    pub revision: u32,
    pub memory_mb: u32,
    pub limit: Price,
    /// Its max cost: what is held for it.
    pub hold: Money,
    pub rested_at: Time,
    /// The markets in which it may run.
    pub markets: Vec<MarketId>,
}

/// A match: the tariff is frozen in it; it takes memory and one slot until it is settled, released or expires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// The most that it can cost.
    pub worst_cost: Money,
    /// What is held for it: the attempts of one invocation share the most that any of them can cost.
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
    /// What the provider claims that it used.
    pub claim: Option<Usage>,
    pub request: Option<BrokerRequest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LeaseState {
    /// Of a deferred bid: its broker has not taken it up yet.
    Offered,
    Running,
    /// Its capacity has returned; it can still be settled.
    Overdue,
    /// Sent, no answer: its hold stays for a claim until its time to be settled passes.
    Unknown,
}

impl Lease {
    /// What the exchange's token vouches for.
    pub fn terms(&self) -> LeaseTerms {
        LeaseTerms {
            lease: self.id,
            invocation: self.invocation,
            attempt: self.attempt,
            account: self.account,
            function: self.function,
            revision: self.revision,
            provider: self.provider,
            market: self.market,
            price: self.price,
            tariff: self.tariff,
            vcpus_milli: self.vcpus_milli,
            memory_mb: self.memory_mb,
            timeout_ms: self.timeout_ms,
            hold: self.hold,
            matched_at: self.matched_at,
            settle_by: self.settle_by,
        }
    }
}
