//! What the head of a provider's answer means: the three cases that decide about a retry and a charge.

use http::{HeaderMap, StatusCode};
use merit_terms::Execution;

use crate::Report;

/// What became of a request, by the head of its answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The function ran; the body is its output, of which only the caller knows whether it arrives whole.
    Executed {
        report: Report,
        /// The function's own, redirects and errors included; 200 where it said none.
        status: StatusCode,
        /// The function's own, without those that may not be passed on.
        headers: HeaderMap,
    },
    /// The provider took nothing. `busy` is no failure of its health; anything else is.
    NotSent { busy: bool, reason: String },
    /// Something answered, but nobody said whether the function ran. `fault`: the provider, or what stands before it, is
    /// to blame.
    Unknown { fault: bool, reason: String },
}

impl Answer {
    pub const fn execution(&self) -> Execution {
        match self {
            Answer::Executed { .. } => Execution::Executed,
            Answer::NotSent { .. } => Execution::NotSent,
            Answer::Unknown { .. } => Execution::Unknown,
        }
    }
}

/// The provider cannot be asked; nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("no request can be made for {endpoint}: {why}")]
pub struct RequestError {
    pub(crate) endpoint: String,
    pub(crate) why: &'static str,
    pub(crate) source: Option<http::Error>,
}
