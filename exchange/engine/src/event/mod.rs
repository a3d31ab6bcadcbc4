//! Events: facts for projections (tape, records, books) and sessions, and the leases and bids that they tell of.
//!
//! Plain data; events change nothing.

mod book;
mod lease;

use merit_terms::{
    AccountId, FunctionId, KeyId, LeaseId, MarketId, MarketName, Money, Name, OfferId, Outcome, Price, ProviderId,
    Time, Usage,
};
use serde::{Deserialize, Serialize};

use crate::command::{MarketTerms, ProviderKind};
use crate::reply::{Grant, Settlement};
pub use book::{OfferChange, Resting};
pub use lease::{Lease, LeaseState};

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An offer was posted or quoted again.
    Offer(OfferChange),
    /// An offer left its book. Its leases go on, and keep counting on its pool.
    OfferGone {
        market: MarketId,
        offer: OfferId,
        provider: ProviderId,
        price: Price,
    },
    /// The leased memory of a live offer changed.
    OfferLeased {
        market: MarketId,
        offer: OfferId,
        price: Price,
        leased_mb: u64,
    },
    /// The free memory of a pool changed; 0 without a free slot. No live offer on it has more.
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
    /// A deferred bid was matched: its broker takes it up within a second. Its [`Event::Granted`] comes first.
    Offered(Box<Grant>),
    /// A lease was paid: a trade on the tape.
    Settled {
        lease: Box<Lease>,
        outcome: Outcome,
        settlement: Settlement,
        last_price: Option<Price>,
        /// The account of the provider.
        seller: AccountId,
    },
    /// A lease ended without a settlement.
    Ended {
        lease: Box<Lease>,
        how: Ending,
    },
    /// A provider claimed the usage of a lease.
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
    MarketDeleted {
        market: MarketId,
    },
    ProviderRegistered {
        provider: ProviderId,
        name: Name,
        kind: ProviderKind,
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
    /// All offers of a provider were pulled: its leases reached the limit of its protection.
    Protected {
        provider: ProviderId,
    },
    /// A provider backs off until the given time, for one revision or for all; time 0: the back-off ended.
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

/// The reason of a ledger entry.
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
    /// The part of a forgotten lease's cost beyond its buyer's funds, from the operator.
    Loss {
        lease: LeaseId,
        invocation: LeaseId,
    },
}

/// The reason why a session ended.
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

/// The reason why a deferred bid left the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BidEnding {
    /// It was matched; its lease may yet be released, and it rests again.
    Matched,
    Cancelled,
    Expired,
}

/// The reason why a lease ended without a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// Nothing was sent.
    NotSent,
    /// Sent, no answer. A claim may still come.
    Unknown,
    /// Not settled before its time to be settled passed.
    Expired,
    /// The broker did not take it up in time; its bid rests again.
    NotTakenUp,
    /// The operator closed it.
    Closed,
}
