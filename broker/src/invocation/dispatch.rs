//! The way of an invocation through the market as a pure machine: acquire, send, settle, and on a failure elsewhere.
//!
//! `step(input) -> action`: the shell does the action and feeds back what came of it. Only whether the last attempt may
//! have run decides about a further one. The gateway error of an idempotent call is kept while the call is tried
//! elsewhere; the last answer is passed on and paid, the others are given back. An input that does not belong in the
//! present state is refused and changes nothing.

use std::sync::Arc;
use std::time::Duration;

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
    Refused { code: ErrorCode, message: String, retry_after: Option<Duration> },
    /// The attempt ended, after so many microseconds.
    Ended { end: AttemptEnd, took_us: u64 },
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
        /// Time after which another try may succeed, if it is known.
        retry_after: Option<Duration>,
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
    /// The provider's reason to take nothing.
    pub(crate) not_sent: Option<NotSent>,
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
    /// The last attempt without an answer. Its claim is paid only when no further attempt follows.
    broken: Option<Broken>,
    state: State,
}

/// An attempt without an answer, as its settle says it again.
#[derive(Debug)]
struct Broken {
    leased: Leased,
    fault: bool,
    took_us: u64,
}

/// The last attempt that failed, and its lease.
type Failed = (Leased, Failure);

/// An answer that is not settled yet.
#[derive(Debug)]
struct Kept {
    leased: Leased,
    outcome: Outcome,
    bill: Bill,
}

#[derive(Debug)]
enum State {
    /// Waits for a lease.
    Acquiring {
        failed: Option<Failed>,
        kept: Option<Box<Kept>>,
    },
    /// Waits for the end of an attempt.
    Sending {
        leased: Leased,
        before: Option<Failure>,
        kept: Option<Box<Kept>>,
    },
    /// Waits until the lease of the answer before is closed, then settles this one, or tries elsewhere first.
    Replacing {
        kept: Box<Kept>,
        elsewhere: bool,
    },
    /// Waits for the settlement of an executed attempt.
    Settling {
        leased: Leased,
        outcome: Outcome,
    },
    /// Waits until the lease of a failed attempt is closed.
    Closing(Failed, Option<Box<Kept>>),
    /// Waits until the exchange knows that no further attempt follows.
    GivingUp(Box<Finished>),
    Finished,
}

impl Dispatch {
    pub(crate) fn new(one_attempt: bool, idempotent: Option<bool>) -> Dispatch {
        let state = State::Acquiring { failed: None, kept: None };
        Dispatch { one_attempt, idempotent, tried: Vec::new(), broken: None, state }
    }

    /// Returns the first action.
    pub(crate) fn first(&self) -> Action {
        Action::Acquire { tried: Vec::new(), invocation: None }
    }

    /// Takes the result of the last action. Returns the next one.
    pub(crate) fn step(&mut self, input: Input) -> Result<Action, Misplaced> {
        match (std::mem::replace(&mut self.state, State::Finished), input) {
            (State::Acquiring { failed, kept }, Input::Granted(grant)) => Ok(self.granted(failed, kept, grant)),
            // Nothing better comes.
            (State::Acquiring { kept: Some(kept), .. }, Input::Refused { .. }) => Ok(self.settle(*kept)),
            (State::Acquiring { failed: None, .. }, Input::Refused { code, message, retry_after }) => {
                Ok(self.finish(End::Refused { code, message, retry_after }))
            }
            // The failure before is the worse news.
            (State::Acquiring { failed: Some((leased, failure)), .. }, Input::Refused { .. }) => {
                Ok(self.finish(End::Failed { leased, failure }))
            }
            (State::Sending { leased, before, kept }, Input::Ended { end, took_us }) => {
                Ok(self.ended(leased, before, kept, (end, took_us)))
            }
            (State::Replacing { kept, elsewhere: true }, Input::Released) => Ok(self.keep(kept)),
            (State::Replacing { kept, elsewhere: false }, Input::Released) => Ok(self.settle(*kept)),
            (State::Settling { leased, outcome }, Input::Settled(paid)) => {
                Ok(self.finish(End::Executed { leased, outcome, paid }))
            }
            (State::Settling { leased, .. }, Input::Unsettled { reason }) => {
                let failure = Failure { ran: Execution::Executed, not_sent: None, reason };
                Ok(self.finish(End::Failed { leased, failure }))
            }
            (State::Closing((leased, failure), kept), Input::Released) => Ok(self.again(leased, failure, kept)),
            (State::GivingUp(finished), Input::Released) => Ok(Action::Finish(finished)),
            (state, input) => {
                let misplaced = Misplaced { state: state.name(), input: input.name() };
                self.state = state;
                Err(misplaced)
            }
        }
    }

    fn granted(&mut self, failed: Option<Failed>, kept: Option<Box<Kept>>, grant: Arc<Grant>) -> Action {
        self.tried.push(grant.provider.clone());
        // The invocation keeps the id of its first lease.
        let first = failed.as_ref().map(|(leased, _)| leased).or(kept.as_ref().map(|kept| &kept.leased));
        let invocation = first.map_or(grant.lease, |leased| leased.invocation);
        let leased = Leased { invocation, grant };
        self.state = State::Sending { leased: leased.clone(), before: failed.map(|(_, failure)| failure), kept };
        Action::Send(leased)
    }

    fn ended(
        &mut self,
        leased: Leased,
        before: Option<Failure>,
        kept: Option<Box<Kept>>,
        (end, took_us): (AttemptEnd, u64),
    ) -> Action {
        match end {
            AttemptEnd::Executed { outcome, usage, observed_us, egress_bytes, log, gateway_error, server_error } => {
                let bill = Bill::Executed { outcome, usage, observed_us, egress_bytes, log, server_error };
                let elsewhere = gateway_error && self.may_repeat(&leased.grant);
                self.executed(Box::new(Kept { leased, outcome, bill }), kept, elsewhere)
            }
            AttemptEnd::NotSent { why, reason } => {
                // An attempt before that may have run stays the worse news.
                let ran = before.map_or(Execution::NotSent, |before| before.ran);
                let lease = leased.grant.lease;
                let failure = Failure { ran, not_sent: Some(why), reason };
                self.state = State::Closing((leased, failure), kept);
                Action::Release { lease, why }
            }
            AttemptEnd::Unknown { fault, reason } => {
                let failure = Failure { ran: Execution::Unknown, not_sent: None, reason };
                let given_up = kept.is_none() && !self.may_repeat(&leased.grant);
                self.broken = (!given_up).then(|| Broken { leased: leased.clone(), fault, took_us });
                self.state = State::Closing((leased.clone(), failure), kept);
                Action::Settle(leased, Bill::Unknown { fault, observed_us: took_us, given_up })
            }
        }
    }

    /// Takes an answer in place of the one before, whose lease is given back unpaid.
    fn executed(&mut self, answer: Box<Kept>, before: Option<Box<Kept>>, elsewhere: bool) -> Action {
        match before {
            Some(before) => {
                self.state = State::Replacing { kept: answer, elsewhere };
                Action::Release { lease: before.leased.grant.lease, why: NotSent::Replaced }
            }
            None if elsewhere => self.keep(answer),
            None => self.settle(*answer),
        }
    }

    /// Keeps an answer, and tries elsewhere.
    fn keep(&mut self, kept: Box<Kept>) -> Action {
        let invocation = Some(kept.leased.invocation);
        self.state = State::Acquiring { failed: None, kept: Some(kept) };
        Action::Acquire { tried: self.tried.clone(), invocation }
    }

    fn settle(&mut self, Kept { leased, outcome, bill }: Kept) -> Action {
        self.state = State::Settling { leased: leased.clone(), outcome };
        Action::Settle(leased, bill)
    }

    /// Tries again if no attempt may have run, or if the call may run twice.
    fn again(&mut self, leased: Leased, failure: Failure, kept: Option<Box<Kept>>) -> Action {
        // A kept answer is settled before its lease is over: no second attempt may take its whole timeout.
        let may = match (&kept, failure.ran) {
            (None, Execution::NotSent) => self.may_go_on(),
            (Some(_), Execution::Unknown) => false,
            _ => self.may_repeat(&leased.grant),
        };
        if may {
            let invocation = Some(leased.invocation);
            self.state = State::Acquiring { failed: Some((leased, failure)), kept };
            return Action::Acquire { tried: self.tried.clone(), invocation };
        }
        match kept {
            Some(kept) => self.settle(*kept),
            None => self.finish(End::Failed { leased, failure }),
        }
    }

    /// Returns whether a further attempt is allowed.
    fn may_go_on(&self) -> bool {
        !self.one_attempt && self.tried.len() < ATTEMPTS_MAX
    }

    /// Returns whether a call that may have run is allowed a further attempt.
    pub(crate) fn may_repeat(&self, grant: &Grant) -> bool {
        self.idempotent.unwrap_or(grant.idempotent) && self.may_go_on()
    }

    /// Ends the invocation. Tells the exchange first if an attempt without an answer remains; a settlement implies it.
    fn finish(&mut self, end: End) -> Action {
        let finished = Box::new(Finished { attempts: self.tried.len(), end });
        match (self.broken.take(), &finished.end) {
            (Some(broken), End::Failed { .. } | End::Refused { .. }) => {
                self.state = State::GivingUp(finished);
                let Broken { leased, fault, took_us } = broken;
                Action::Settle(leased, Bill::Unknown { fault, observed_us: took_us, given_up: true })
            }
            _ => {
                self.state = State::Finished;
                Action::Finish(finished)
            }
        }
    }

    /// Allows no further attempt: the payload is gone, or the caller is.
    pub(crate) fn no_more(&mut self) {
        self.one_attempt = true;
    }

    /// Notes that an answer begins to go out: it is the only one. Returns the lease of a kept answer, to be given back.
    pub(crate) fn begun(&mut self) -> Option<LeaseId> {
        self.no_more();
        match &mut self.state {
            State::Sending { kept, .. } => kept.take().map(|kept| kept.leased.grant.lease),
            _ => None,
        }
    }

    /// Returns the lease that is held now.
    pub(crate) fn leased(&self) -> Option<&Leased> {
        match &self.state {
            State::Sending { leased, .. } | State::Settling { leased, .. } | State::Closing((leased, _), _) => {
                Some(leased)
            }
            State::Replacing { kept, .. } | State::Acquiring { kept: Some(kept), .. } => Some(&kept.leased),
            State::Acquiring { .. } | State::GivingUp(_) | State::Finished => None,
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
            State::Replacing { .. } => "replacing",
            State::Closing(..) => "closing",
            State::GivingUp(_) => "giving up",
            State::Finished => "finished",
        }
    }
}

impl Input {
    const fn name(&self) -> &'static str {
        match self {
            Input::Granted(_) => "a grant",
            Input::Refused { .. } => "a refusal",
            Input::Ended { .. } => "the end of an attempt",
            Input::Settled(_) => "a settlement",
            Input::Unsettled { .. } => "a settlement that failed",
            Input::Released => "a release",
        }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/invocation/dispatch.rs"]
mod tests;
