//! The meaning of the head of a provider's answer: the three cases that decide about a retry and a charge. Never reads
//! a body.

use http::{HeaderMap, StatusCode};
use merit_terms::Execution;

use crate::Report;

/// The end of a request, as the head of its answer tells it.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderAnswer {
    /// The function ran. The body is its output, which may yet break off.
    Executed {
        report: Report,
        /// The function's own status, redirects and errors included; 200 if it gave none.
        status: StatusCode,
        /// The function's own headers, without those that may not be passed on.
        headers: HeaderMap,
    },
    /// The provider took nothing.
    NotSent { why: NotTaken, reason: String },
    /// Something answered, but not whether the function ran. With `fault`, the provider or its gateway is to blame.
    Unknown { fault: bool, reason: String },
}

/// The reason why a provider took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// It is full.
    Full,
    /// The function's module is getting ready there, for about so long.
    Warming { retry_after_s: u32 },
    /// The call, or the function's module, cannot be run.
    Call,
    /// It failed, which counts against its health.
    Failed,
}

impl ProviderAnswer {
    pub const fn execution(&self) -> Execution {
        match self {
            ProviderAnswer::Executed { .. } => Execution::Executed,
            ProviderAnswer::NotSent { .. } => Execution::NotSent,
            ProviderAnswer::Unknown { .. } => Execution::Unknown,
        }
    }
}
