//! A lease: the terms of a match, and its state.

use merit_terms::{AccountId, FunctionId, LeaseId, MarketId, Money, OfferId, Price, ProviderId, Tariff, Time, Usage};
use serde::{Deserialize, Serialize};

use crate::command::{BrokerRequest, LeaseTerms};

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
    /// Worst case of its cost.
    pub worst_cost: Money,
    /// Its hold. The attempts of one invocation share the greatest worst case of any of them.
    pub hold: Money,
    pub matched_at: Time,
    /// Time at which its capacity returns if it is not settled.
    pub capacity_until: Time,
    /// Time at which its hold closes if it is not settled.
    pub settle_by: Time,
    /// The next best provider, and the cost predicted there.
    pub runner_up: Option<(ProviderId, Money)>,
    pub state: LeaseState,
    /// True if it was ranked on a prior: its provider has no history with the revision.
    pub on_prior: bool,
    /// True if its offer was not public at the match: its trade is in no public market data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
    /// The usage that the provider claims.
    pub claim: Option<Usage>,
    pub request: Option<BrokerRequest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LeaseState {
    /// Matched for a deferred bid; its broker has not taken it up yet.
    Offered,
    Running,
    /// Its capacity has returned; it can still be settled.
    Overdue,
    /// Sent, no answer: its hold stays for a claim until its time to be settled passes.
    Unknown,
}

impl Lease {
    /// Returns the terms that the exchange's token covers.
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
            private: self.private,
        }
    }
}
