//! What the head of a provider's answer means: the three cases that decide about a retry and a charge.

use merit_terms::Execution;

use crate::Report;

/// What became of a request, by the head of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The function ran; the body is its output, of which only the caller knows whether it arrives whole.
    Executed(Report),
    /// The provider took nothing. `busy` is no failure of its health; anything else is.
    NotSent { busy: bool, reason: String },
    /// Something answered, but nobody said whether the function ran. `fault`: the provider, or what stands before it, is
    /// to blame.
    Unknown { fault: bool, reason: String },
}

impl Answer {
    pub const fn execution(&self) -> Execution {
        match self {
            Answer::Executed(_) => Execution::Executed,
            Answer::NotSent { .. } => Execution::NotSent,
            Answer::Unknown { .. } => Execution::Unknown,
        }
    }
}
