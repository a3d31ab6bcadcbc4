//! The end of an attempt in two words: whether it ran, and the function's outcome. Never decides about a retry.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The fate of an attempt, as the broker knows it. Only this decides about a retry and a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    /// Nothing was sent, or the provider said that it took nothing: costs 0.
    NotSent,
    /// Sent, and no answer came: charged only if the provider claims it.
    Unknown,
    /// Answered: costs its usage.
    Executed,
}

/// The end of an executed function. All but `Ok` are the function's own failures, and are charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    Exit,
    Trap,
    OutOfMemory,
    Timeout,
    OutputLimit,
}

/// The state of an invocation, over all its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvocationState {
    /// Its deferred bid rests.
    Waiting,
    Running,
    /// It executed, and is paid.
    Settled,
    Failed,
    /// Its bid was not matched by its deadline, or nobody settled it.
    Expired,
    Cancelled,
}

impl InvocationState {
    pub const ALL: [InvocationState; 6] = [
        InvocationState::Waiting,
        InvocationState::Running,
        InvocationState::Settled,
        InvocationState::Failed,
        InvocationState::Expired,
        InvocationState::Cancelled,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            InvocationState::Waiting => "waiting",
            InvocationState::Running => "running",
            InvocationState::Settled => "settled",
            InvocationState::Failed => "failed",
            InvocationState::Expired => "expired",
            InvocationState::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<InvocationState> {
        InvocationState::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl Execution {
    pub const fn as_str(self) -> &'static str {
        match self {
            Execution::NotSent => "not_sent",
            Execution::Unknown => "unknown",
            Execution::Executed => "executed",
        }
    }
}

impl Outcome {
    pub const ALL: [Outcome; 6] =
        [Outcome::Ok, Outcome::Exit, Outcome::Trap, Outcome::OutOfMemory, Outcome::Timeout, Outcome::OutputLimit];

    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Exit => "exit",
            Outcome::Trap => "trap",
            Outcome::OutOfMemory => "out_of_memory",
            Outcome::Timeout => "timeout",
            Outcome::OutputLimit => "output_limit",
        }
    }

    pub fn parse(text: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

impl fmt::Display for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
