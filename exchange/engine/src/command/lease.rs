//! The ends of a lease: settled, not sent, or forgotten by a crash.

use merit_terms::{
    AccountId, Execution, FunctionId, LeaseId, MarketId, Money, Outcome, Price, ProviderId, Tariff, Time, Usage,
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settle {
    pub lease: LeaseId,
    pub execution: Execution,
    /// The outcome of the function, if it executed.
    pub outcome: Outcome,
    /// The provider's report, if there is one.
    pub reported: Option<Usage>,
    /// Time from dispatch to the end, or to the break of an attempt without an answer, in microseconds.
    pub observed_us: u64,
    pub egress_bytes: u64,
    /// True if the provider is to blame that there is no answer, or that the answer is its own error.
    pub fault: bool,
    /// True if the function answered with a status of 500 or more: the call failed, by itself or by its payload.
    pub server_error: bool,
    /// True if no further attempt of the invocation follows one without an answer: claims are paid at once.
    pub given_up: bool,
}

/// The reason why a lease was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The caller, or the broker, gave up.
    Withdrawn,
    /// The provider is full, no failure: its pool is what runs now, until it states it again.
    Busy,
    /// The provider failed: no connection, a refused token.
    Failed,
    /// The provider is loading the module, no failure: it is behind for the revision for so long, at most 600 s.
    Warming { retry_after_s: u32 },
    /// Its gateway error was replaced by another provider's answer: a failed call, of which its health says nothing.
    Replaced,
}

/// A lease that a crash forgot, on the terms of its token, and its settle.
#[derive(Clone, Debug, PartialEq)]
pub struct Forgotten {
    pub terms: LeaseTerms,
    pub settle: Settle,
}

/// The whole grant, as the exchange's token covers it.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseTerms {
    pub lease: LeaseId,
    pub invocation: LeaseId,
    pub attempt: u32,
    pub account: AccountId,
    pub function: FunctionId,
    pub revision: u32,
    pub provider: ProviderId,
    pub market: MarketId,
    pub price: Price,
    pub tariff: Tariff,
    pub vcpus_milli: u32,
    pub memory_mb: u32,
    pub timeout_ms: u32,
    pub hold: Money,
    pub matched_at: Time,
    pub settle_by: Time,
    /// True if its offer was not public at the match.
    pub private: bool,
}
