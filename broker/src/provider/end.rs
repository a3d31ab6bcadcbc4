//! The end of an attempt: only this decides about a retry and a charge.

use merit_terms::{Outcome, Usage};

use crate::exchange::leases::lease::NotSent;

/// The end of one attempt at a provider.
#[derive(Debug)]
pub(crate) enum AttemptEnd {
    /// The provider answered.
    Executed {
        outcome: Outcome,
        /// The provider's report, if it made one.
        usage: Option<Usage>,
        observed_us: u64,
        egress_bytes: u64,
        /// The end of the function's log.
        log: Vec<u8>,
        /// True for a gateway error of a function server: an idempotent call is tried elsewhere before it is passed on.
        gateway_error: bool,
        /// True for a status of 500 or more.
        server_error: bool,
    },
    /// The provider got nothing, or took nothing.
    NotSent { why: NotSent, reason: String },
    /// The request was sent and no answer came.
    Unknown {
        /// Set where the provider is to blame.
        fault: bool,
        reason: String,
    },
}
