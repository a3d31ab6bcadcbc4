//! One invocation's way through the market, as a pure machine: acquire, send, settle, and on a failure elsewhere.
//!
//! `step(input) -> action`; the shell does the actions and feeds back what came of them. What decides about a further
//! attempt is only whether the last one may have run.

use std::sync::Arc;

use merit_proto::v1::{Grant, LeaseProof, NotSent};
use merit_terms::{LeaseId, Outcome, Usage};

/// The most attempts of one invocation.
const ATTEMPTS_MAX: usize = 8;

/// What came of the last action.
#[derive(Debug)]
pub(crate) enum Input {
    /// The exchange leased an offer.
    Granted(Box<Grant>),
    /// No offer, or the exchange refused otherwise.
    Refused {
        code: String,
        message: String,
    },
    /// The provider answered.
    Executed {
        outcome: Outcome,
        usage: Option<Usage>,
        observed_us: u64,
        egress_bytes: u64,
    },
    /// The provider got nothing, or took nothing.
    NotSent {
        why: NotSent,
        reason: String,
    },
    /// It was sent and no answer came; whether the provider is to blame.
    Unknown {
        fault: bool,
        reason: String,
    },
    Settled {
        cost: u64,
        billed_ms: u64,
    },
    /// The lease was given back, or closed without a bill because nobody answered.
    Released,
    /// The provider answered, and the exchange did not settle it.
    Unsettled {
        reason: String,
    },
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Action {
    /// Ask for a lease, with these providers left out.
    Acquire {
        tried: Vec<String>,
        invocation: Option<LeaseId>,
    },
    Send(Arc<Grant>),
    Settle {
        lease: LeaseId,
        bill: Bill,
        /// For an exchange that forgot the lease.
        proof: Option<LeaseProof>,
    },
    Release {
        lease: LeaseId,
        why: NotSent,
    },
    /// Answer the caller; the machine is done.
    Finish(Box<Finished>),
}

/// What is said of an attempt that may have run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bill {
    Executed { outcome: Outcome, usage: Option<Usage>, observed_us: u64, egress_bytes: u64 },
    Unknown { fault: bool },
}

/// How an invocation ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) invocation: Option<LeaseId>,
    pub(crate) attempts: usize,
    pub(crate) grant: Option<Arc<Grant>>,
    pub(crate) end: End,
}

#[derive(Debug, PartialEq)]
pub(crate) enum End {
    Executed {
        outcome: Outcome,
        cost: u64,
        billed_ms: u64,
    },
    /// The exchange refused, and nothing had been tried.
    Refused {
        code: String,
        message: String,
    },
    /// Every attempt failed.
    Failed {
        ran: Ran,
        busy: bool,
        reason: String,
    },
}

/// Whether a failed invocation may have run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    NotSent,
    Unknown,
    /// It ran, and its bill could not be had.
    Executed,
}

/// One invocation under way.
#[derive(Debug)]
pub(crate) struct Dispatch {
    one_attempt: bool,
    /// The caller's word; without it the function's counts.
    idempotent: Option<bool>,
    invocation: Option<LeaseId>,
    tried: Vec<String>,
    grant: Option<Arc<Grant>>,
    outcome: Outcome,
    failure: Option<(Ran, bool, String)>,
}

impl Dispatch {
    pub(crate) fn new(one_attempt: bool, idempotent: Option<bool>) -> Dispatch {
        Dispatch {
            one_attempt,
            idempotent,
            invocation: None,
            tried: Vec::new(),
            grant: None,
            outcome: Outcome::Ok,
            failure: None,
        }
    }

    pub(crate) fn first(&self) -> Action {
        Action::Acquire { tried: Vec::new(), invocation: None }
    }

    pub(crate) fn step(&mut self, input: Input) -> Action {
        match input {
            Input::Granted(grant) => {
                let lease = lease_of(&grant);
                self.invocation.get_or_insert(lease);
                self.tried.push(grant.provider.clone());
                let grant: Arc<Grant> = grant.into();
                self.grant = Some(grant.clone());
                Action::Send(grant)
            }
            Input::Refused { code, message } => {
                let end = match self.failure.take() {
                    None => End::Refused { code, message },
                    Some((ran, busy, reason)) => End::Failed { ran, busy, reason },
                };
                self.finish(end)
            }
            Input::Executed { outcome, usage, observed_us, egress_bytes } => {
                self.outcome = outcome;
                self.settle(Bill::Executed { outcome, usage, observed_us, egress_bytes })
            }
            Input::NotSent { why, reason } => {
                // What may have run before stays the worse news.
                let ran = self.failure.as_ref().map_or(Ran::NotSent, |(ran, ..)| *ran);
                self.failure = Some((ran, why == NotSent::Busy, reason));
                Action::Release { lease: self.lease(), why }
            }
            Input::Unknown { fault, reason } => {
                self.failure = Some((Ran::Unknown, false, reason));
                self.settle(Bill::Unknown { fault })
            }
            Input::Settled { cost, billed_ms } => {
                let outcome = self.outcome;
                self.finish(End::Executed { outcome, cost, billed_ms })
            }
            Input::Released => self.again(),
            Input::Unsettled { reason } => self.finish(End::Failed { ran: Ran::Executed, busy: false, reason }),
        }
    }

    fn settle(&self, bill: Bill) -> Action {
        let proof = self.grant.as_ref().and_then(|grant| grant.proof.clone());
        Action::Settle { lease: self.lease(), bill, proof }
    }

    /// A further attempt, if no attempt may have run or it may run twice.
    fn again(&mut self) -> Action {
        let (ran, busy, reason) = self.failure.clone().unwrap_or((Ran::Unknown, false, "the lease ended".to_owned()));
        let idempotent = self.idempotent.or(self.grant.as_ref().map(|grant| grant.idempotent)).unwrap_or(false);
        let may = ran == Ran::NotSent || idempotent;
        if may && !self.one_attempt && self.tried.len() < ATTEMPTS_MAX {
            Action::Acquire { tried: self.tried.clone(), invocation: self.invocation }
        } else {
            self.finish(End::Failed { ran, busy, reason })
        }
    }

    fn finish(&mut self, end: End) -> Action {
        Action::Finish(Box::new(Finished {
            invocation: self.invocation,
            attempts: self.tried.len(),
            grant: self.grant.take(),
            end,
        }))
    }

    /// No further attempt: the payload is gone, or the caller is, or has the beginning of an answer.
    pub(crate) fn no_more(&mut self) {
        self.one_attempt = true;
    }

    /// How many attempts there were.
    pub(crate) fn attempts(&self) -> usize {
        self.tried.len()
    }

    /// The lease of the first attempt, once there is one.
    pub(crate) fn invocation(&self) -> Option<LeaseId> {
        self.invocation
    }

    fn lease(&self) -> LeaseId {
        self.grant.as_deref().map_or(LeaseId { run: 0, sequence: 0 }, lease_of)
    }
}

fn lease_of(grant: &Grant) -> LeaseId {
    grant.lease.map_or(LeaseId { run: 0, sequence: 0 }, LeaseId::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(provider: &str, sequence: u64, idempotent: bool) -> Input {
        Input::Granted(Box::new(Grant {
            provider: provider.into(),
            lease: Some(LeaseId { run: 1, sequence }.into()),
            idempotent,
            proof: Some(LeaseProof { terms: Vec::new(), mac: vec![sequence as u8] }),
            ..Grant::default()
        }))
    }

    fn not_sent() -> Input {
        Input::NotSent { why: NotSent::Failed, reason: "connection refused".into() }
    }

    fn unknown() -> Input {
        Input::Unknown { fault: true, reason: "connection reset".into() }
    }

    /// Feeds the inputs and returns the last action.
    fn run(one_attempt: bool, inputs: Vec<Input>) -> Action {
        let mut dispatch = Dispatch::new(one_attempt, None);
        inputs.into_iter().map(|input| dispatch.step(input)).last().unwrap()
    }

    fn is_further_attempt(action: &Action, provider: &str) -> bool {
        matches!(action, Action::Acquire { tried, invocation: Some(_) } if tried == &[provider])
    }

    #[test]
    fn fails_over_when_the_request_was_not_sent() {
        let action = run(false, vec![grant("a", 1, false), not_sent(), Input::Released]);
        assert!(is_further_attempt(&action, "a"), "{action:?}");
    }

    #[test]
    fn fails_over_after_an_unknown_only_if_idempotent() {
        let action = run(false, vec![grant("a", 1, true), unknown(), Input::Released]);
        assert!(is_further_attempt(&action, "a"), "{action:?}");
        let action = run(false, vec![grant("a", 1, false), unknown(), Input::Released]);
        assert!(matches!(action, Action::Finish(f) if matches!(f.end, End::Failed { ran: Ran::Unknown, .. })));
    }

    #[test]
    fn one_attempt_is_one_attempt() {
        let action = run(true, vec![grant("a", 1, true), not_sent(), Input::Released]);
        assert!(matches!(action, Action::Finish(f) if matches!(f.end, End::Failed { ran: Ran::NotSent, .. })));
    }

    #[test]
    fn what_was_not_sent_is_released_and_what_may_have_run_is_settled() {
        let action = run(false, vec![grant("a", 7, false), not_sent()]);
        assert!(matches!(action, Action::Release { lease: LeaseId { run: 1, sequence: 7 }, why: NotSent::Failed }));
        let action = run(false, vec![grant("a", 7, false), unknown()]);
        let Action::Settle { lease, bill, proof } = action else { panic!("{action:?}") };
        assert_eq!((lease, bill), (LeaseId { run: 1, sequence: 7 }, Bill::Unknown { fault: true }));
        assert_eq!(proof.map(|proof| proof.mac), Some(vec![7]), "for an exchange that forgot it");
    }

    #[test]
    fn an_answer_ends_it_whatever_the_function_did() {
        let executed = Input::Executed { outcome: Outcome::Trap, usage: None, observed_us: 5, egress_bytes: 0 };
        let action = run(false, vec![grant("a", 1, true), executed, Input::Settled { cost: 9, billed_ms: 1 }]);
        let Action::Finish(finished) = action else { panic!("{action:?}") };
        assert_eq!(finished.end, End::Executed { outcome: Outcome::Trap, cost: 9, billed_ms: 1 });
        assert_eq!(finished.attempts, 1);
    }

    #[test]
    fn the_invocation_keeps_the_id_of_its_first_lease() {
        let again =
            vec![grant("a", 1, false), not_sent(), Input::Released, grant("b", 2, false), not_sent(), Input::Released];
        let action = run(false, again);
        let first = LeaseId { run: 1, sequence: 1 };
        assert!(matches!(action, Action::Acquire { invocation: Some(id), .. } if id == first));
    }

    #[test]
    fn when_nobody_is_left_the_failure_is_told_and_not_the_refusal() {
        let refused = Input::Refused { code: "no_eligible_provider".into(), message: String::new() };
        let action = run(false, vec![grant("a", 1, true), unknown(), Input::Released, refused]);
        assert!(matches!(action, Action::Finish(f) if matches!(f.end, End::Failed { ran: Ran::Unknown, .. })));
    }

    #[test]
    fn what_was_answered_is_never_tried_again_even_if_it_cannot_be_settled() {
        let executed = Input::Executed { outcome: Outcome::Ok, usage: None, observed_us: 5, egress_bytes: 0 };
        let unsettled = Input::Unsettled { reason: "the exchange forgot the lease".into() };
        let before = vec![grant("a", 1, true), not_sent(), Input::Released, grant("b", 2, true)];
        let action = run(false, before.into_iter().chain([executed, unsettled]).collect());
        assert!(matches!(action, Action::Finish(f) if matches!(f.end, End::Failed { ran: Ran::Executed, .. })));
    }

    #[test]
    fn nothing_is_tried_again_once_that_is_said() {
        let mut dispatch = Dispatch::new(false, Some(true));
        dispatch.step(grant("a", 1, true));
        dispatch.no_more();
        dispatch.step(unknown());
        let action = dispatch.step(Input::Released);
        assert!(matches!(action, Action::Finish(f) if matches!(f.end, End::Failed { ran: Ran::Unknown, .. })));
    }

    #[test]
    fn attempts_are_bounded() {
        let mut dispatch = Dispatch::new(false, None);
        for sequence in 1..=ATTEMPTS_MAX as u64 {
            dispatch.step(grant("a", sequence, true));
            dispatch.step(not_sent());
            let action = dispatch.step(Input::Released);
            assert_eq!(matches!(action, Action::Finish(_)), sequence == ATTEMPTS_MAX as u64);
        }
    }
}
