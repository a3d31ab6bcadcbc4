//! The way of an invocation through the market as a pure machine: acquire, send, settle, and on a failure elsewhere.
//!
//! `step(input) -> action`: the shell does the action and feeds back what came of it. Only whether the last attempt may
//! have run decides about a further one. An input that does not belong in the present state is refused and changes
//! nothing.

use std::sync::Arc;

use merit_terms::{Execution, LeaseId, Outcome};

use crate::error::ErrorCode;
use crate::exchange::leases::lease::{Bill, Grant, NotSent, Paid};
use crate::provider::end::AttemptEnd;

/// Most attempts of one invocation.
const ATTEMPTS_MAX: usize = 8;

/// The result of the last action.
#[derive(Debug)]
pub(crate) enum Input {
    /// The exchange leased an offer.
    Granted(Arc<Grant>),
    /// There is no lease.
    Refused { code: ErrorCode, message: String },
    /// The attempt ended.
    Ended(AttemptEnd),
    /// The executed attempt is settled.
    Settled(Paid),
    /// The executed attempt could not be settled.
    Unsettled { reason: String },
    /// The lease of an attempt without an answer is closed.
    Released,
}

/// The next thing to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Ask for a lease, with these providers left out.
    Acquire {
        tried: Vec<String>,
        invocation: Option<LeaseId>,
    },
    Send(Leased),
    Settle(Leased, Bill),
    Release {
        lease: LeaseId,
        why: NotSent,
    },
    /// Answer the caller: the machine is done.
    Finish(Box<Finished>),
}

/// The lease of an attempt, and the id of its invocation.
#[derive(Clone, Debug)]
pub(crate) struct Leased {
    pub(crate) invocation: LeaseId,
    pub(crate) grant: Arc<Grant>,
}

/// The end of an invocation.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) attempts: usize,
    pub(crate) end: End,
}

#[derive(Debug)]
pub(crate) enum End {
    Executed {
        leased: Leased,
        outcome: Outcome,
        paid: Paid,
    },
    /// Refused before anything was tried.
    Refused {
        code: ErrorCode,
        message: String,
    },
    /// Every attempt failed.
    Failed {
        /// The last attempt.
        leased: Leased,
        failure: Failure,
    },
}

/// The failure of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// `Executed`: it ran and could not be settled.
    pub(crate) ran: Execution,
    /// The provider said that it is full.
    pub(crate) busy: bool,
    pub(crate) reason: String,
}

/// An input that does not belong in the state: a bug of the shell.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{input} does not belong while {state}")]
pub(crate) struct Misplaced {
    state: &'static str,
    input: &'static str,
}

/// One invocation under way.
#[derive(Debug)]
pub(crate) struct Dispatch {
    one_attempt: bool,
    /// The caller's word; none leaves it to the function's.
    idempotent: Option<bool>,
    /// Providers of all attempts so far.
    tried: Vec<String>,
    state: State,
}

/// The last attempt that failed, and its lease.
type Failed = (Leased, Failure);

#[derive(Debug)]
enum State {
    /// Waits for a lease.
    Acquiring {
        failed: Option<Failed>,
    },
    /// Waits for the end of an attempt.
    Sending {
        leased: Leased,
        before: Option<Failure>,
    },
    /// Waits for the settlement of an executed attempt.
    Settling {
        leased: Leased,
        outcome: Outcome,
    },
    /// Waits until the lease of a failed attempt is closed.
    Closing(Failed),
    Finished,
}

impl Dispatch {
    pub(crate) fn new(one_attempt: bool, idempotent: Option<bool>) -> Dispatch {
        Dispatch { one_attempt, idempotent, tried: Vec::new(), state: State::Acquiring { failed: None } }
    }

    /// Returns the first action.
    pub(crate) fn first(&self) -> Action {
        Action::Acquire { tried: Vec::new(), invocation: None }
    }

    /// Takes the result of the last action. Returns the next one.
    pub(crate) fn step(&mut self, input: Input) -> Result<Action, Misplaced> {
        match (std::mem::replace(&mut self.state, State::Finished), input) {
            (State::Acquiring { failed }, Input::Granted(grant)) => Ok(self.granted(failed, grant)),
            (State::Acquiring { failed: None }, Input::Refused { code, message }) => {
                Ok(self.finish(End::Refused { code, message }))
            }
            // The failure before is the worse news.
            (State::Acquiring { failed: Some((leased, failure)) }, Input::Refused { .. }) => {
                Ok(self.finish(End::Failed { leased, failure }))
            }
            (State::Sending { leased, before }, Input::Ended(end)) => Ok(self.ended(leased, before, end)),
            (State::Settling { leased, outcome }, Input::Settled(paid)) => {
                Ok(self.finish(End::Executed { leased, outcome, paid }))
            }
            (State::Settling { leased, .. }, Input::Unsettled { reason }) => {
                let failure = Failure { ran: Execution::Executed, busy: false, reason };
                Ok(self.finish(End::Failed { leased, failure }))
            }
            (State::Closing((leased, failure)), Input::Released) => Ok(self.again(leased, failure)),
            (state, input) => {
                let misplaced = Misplaced { state: state.name(), input: input.name() };
                self.state = state;
                Err(misplaced)
            }
        }
    }

    fn granted(&mut self, failed: Option<Failed>, grant: Arc<Grant>) -> Action {
        self.tried.push(grant.provider.clone());
        // The invocation keeps the id of its first lease.
        let invocation = failed.as_ref().map_or(grant.lease, |(leased, _)| leased.invocation);
        let leased = Leased { invocation, grant };
        self.state = State::Sending { leased: leased.clone(), before: failed.map(|(_, failure)| failure) };
        Action::Send(leased)
    }

    fn ended(&mut self, leased: Leased, before: Option<Failure>, end: AttemptEnd) -> Action {
        match end {
            AttemptEnd::Executed { outcome, usage, observed_us, egress_bytes, log } => {
                self.state = State::Settling { leased: leased.clone(), outcome };
                Action::Settle(leased, Bill::Executed { outcome, usage, observed_us, egress_bytes, log })
            }
            AttemptEnd::NotSent { why, reason } => {
                // An attempt before that may have run stays the worse news.
                let ran = before.map_or(Execution::NotSent, |before| before.ran);
                let lease = leased.grant.lease;
                self.state = State::Closing((leased, Failure { ran, busy: why == NotSent::Busy, reason }));
                Action::Release { lease, why }
            }
            AttemptEnd::Unknown { fault, reason } => {
                let failure = Failure { ran: Execution::Unknown, busy: false, reason };
                self.state = State::Closing((leased.clone(), failure));
                Action::Settle(leased, Bill::Unknown { fault })
            }
        }
    }

    /// Tries again if no attempt may have run, or if the call may run twice.
    fn again(&mut self, leased: Leased, failure: Failure) -> Action {
        let idempotent = self.idempotent.unwrap_or(leased.grant.idempotent);
        let may = failure.ran == Execution::NotSent || idempotent;
        if may && !self.one_attempt && self.tried.len() < ATTEMPTS_MAX {
            let invocation = Some(leased.invocation);
            self.state = State::Acquiring { failed: Some((leased, failure)) };
            Action::Acquire { tried: self.tried.clone(), invocation }
        } else {
            self.finish(End::Failed { leased, failure })
        }
    }

    fn finish(&mut self, end: End) -> Action {
        self.state = State::Finished;
        Action::Finish(Box::new(Finished { attempts: self.tried.len(), end }))
    }

    /// Allows no further attempt: the payload is gone, or the caller is, or an answer has begun.
    pub(crate) fn no_more(&mut self) {
        self.one_attempt = true;
    }

    /// Returns the lease that is held now.
    pub(crate) fn leased(&self) -> Option<&Leased> {
        match &self.state {
            State::Sending { leased, .. } | State::Settling { leased, .. } | State::Closing((leased, _)) => {
                Some(leased)
            }
            State::Acquiring { .. } | State::Finished => None,
        }
    }

    /// Returns the number of attempts so far.
    pub(crate) fn attempts(&self) -> usize {
        self.tried.len()
    }
}

impl State {
    const fn name(&self) -> &'static str {
        match self {
            State::Acquiring { .. } => "acquiring",
            State::Sending { .. } => "sending",
            State::Settling { .. } => "settling",
            State::Closing(_) => "closing",
            State::Finished => "finished",
        }
    }
}

impl Input {
    const fn name(&self) -> &'static str {
        match self {
            Input::Granted(_) => "a grant",
            Input::Refused { .. } => "a refusal",
            Input::Ended(_) => "the end of an attempt",
            Input::Settled(_) => "a settlement",
            Input::Unsettled { .. } => "a settlement that failed",
            Input::Released => "a release",
        }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/invocation/dispatch.rs"]
mod tests;
