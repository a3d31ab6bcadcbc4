//! Bids: one invocation's demand, at once or deferred.

use merit_terms::{AccountId, FunctionId, LeaseId, Limits, ProviderId, Time};
use serde::{Deserialize, Serialize};

use super::Qualifier;

/// One invocation's demand: matched at once with the best eligible offer, or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bid {
    pub account: AccountId,
    pub function: FunctionId,
    pub qualifier: Qualifier,
    /// Maximum size of the answer, in bytes; the hold covers its egress.
    pub answer_limit_bytes: u64,
    pub limits: Limits,
    /// Providers that an earlier attempt tried.
    pub tried: Vec<ProviderId>,
    /// The lease of the first attempt; none: this is it.
    pub invocation: Option<LeaseId>,
    /// The request of the broker's stream that it came by: a repeat is answered with the same lease.
    pub request: Option<BrokerRequest>,
}

/// The number of a request in a broker's session, each used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BrokerRequest {
    pub session: u64,
    pub number: u64,
}

impl BrokerRequest {
    /// Returns the range of all requests of a session.
    pub(crate) fn of_session(session: u64) -> std::ops::RangeInclusive<BrokerRequest> {
        BrokerRequest { session, number: 0 }..=BrokerRequest { session, number: u64::MAX }
    }
}

/// A deferred bid. Its max price is required: it is the bid's limit in the book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferred {
    /// The bid, with a request: its broker is told of the match.
    pub bid: Bid,
    /// Deadline of its rest, within 31 days.
    pub deadline: Time,
    pub then: AtDeadline,
}

/// The fate of a deferred bid at its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AtDeadline {
    Expire,
    /// Matched with the best offer at any price within its max cost, or expired.
    Market,
}
