//! The replies to commands that were not refused.

use merit_terms::{AccountId, FunctionId, KeyId, LeaseId, MarketId, Money, ProviderId, Time, Usage};
use serde::{Deserialize, Serialize};

use crate::command::{BrokerRequest, LeaseTerms};

/// The reply to a command that was not refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Done,
    Account(AccountId),
    Market(MarketId),
    Provider(ProviderId),
    Function {
        function: FunctionId,
        revision: u32,
    },
    /// The number of the provider's new session.
    Session(u32),
    /// The broker's session, with the leases and bids that it answers for.
    Broker(Box<BrokerSession>),
    Granted(Box<Grant>),
    /// The id of the resting bid, which its invocation has too.
    Resting(LeaseId),
    Settled(Settlement),
    /// The key that was created or rotated.
    Key(KeyId),
}

/// The state of a broker's session at its beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerSession {
    pub session: u64,
    /// Open leases that it took over, each to be settled or released.
    pub leases: Vec<Grant>,
    /// Resting bids that it took over.
    pub bids: Vec<LeaseId>,
}

/// The facts of a lease by which a broker dispatches it.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The terms that the exchange's token covers.
    pub terms: LeaseTerms,
    /// The provider's session, whose key makes the provider's token.
    pub session: u32,
    pub quoted_cost: Money,
    /// Expiry of the provider's token: the lease's capacity returns then.
    pub expires: Time,
    /// The request that it answers.
    pub request: Option<BrokerRequest>,
}

/// The bill of one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    pub cost: Money,
    pub fee: Money,
    pub billed_ms: u64,
    pub usage: Usage,
    pub estimated: bool,
}
