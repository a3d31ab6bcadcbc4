//! The one internal call behind every door: an invocation, from a parsed request to how it ended.
//!
//! Runs the dispatch machine: does its actions and feeds back what came of them. Goes on to its settlement when the
//! caller goes away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use merit_proto::v1;
use merit_terms::{LeaseId, Limits, Usage};
use serde_json::json;

use crate::PAYLOAD_MAX_BYTES;
use crate::brokerage::Answer;
use crate::dispatch::{Action, Bill, Dispatch, End, Finished, Input, Ran};
use crate::error::ApiError;
use crate::exchange::answer;
use crate::preferences::Preferences;
use crate::serve::State;
use crate::upstream::{Call, FunctionAnswer};

/// A parsed request of any door.
pub(crate) struct Invocation {
    pub(crate) call: Call,
    pub(crate) qualifier: Option<v1::Qualifier>,
    pub(crate) preferences: Preferences,
    pub(crate) received: Instant,
}

/// How an invocation ended, with what the caller is answered.
pub(crate) struct Ended {
    pub(crate) finished: Finished,
    pub(crate) answer: FunctionAnswer,
    /// What Merit added to the providers' time.
    pub(crate) overhead: Duration,
    /// Whether the caller's deadline passed meanwhile.
    pub(crate) late: bool,
}

fn revision(number: u32) -> v1::Qualifier {
    v1::Qualifier { revision: Some(v1::qualifier::Revision::Number(number)) }
}

/// Runs an invocation to its end. It goes on when the caller is gone: what was leased is settled.
pub(crate) async fn invoke(state: &Arc<State>, invocation: Invocation) -> Result<Ended, ApiError> {
    let ended = state.invocations.spawn(run(state.clone(), invocation)).await;
    ended.map_err(|error| {
        tracing::error!(%error, "an invocation's task failed");
        ApiError::new(http::StatusCode::INTERNAL_SERVER_ERROR, "internal", "the broker failed; its log says why")
    })?
}

async fn run(state: Arc<State>, invocation: Invocation) -> Result<Ended, ApiError> {
    let Invocation { call, qualifier, preferences, received } = invocation;
    let left = || preferences.within.map(|within| within.saturating_sub(received.elapsed()));
    let mut machine = Dispatch::new(preferences.one_attempt, preferences.idempotent);
    let mut upstream_took = Duration::ZERO;
    let mut function_answer = FunctionAnswer::default();
    let limits = (preferences.limits != Limits::default()).then(|| (&preferences.limits).into());
    let mut granted = None;
    let mut action = machine.first();
    loop {
        let input = match action {
            Action::Finish(finished) => {
                let took = received.elapsed();
                let overhead = took.saturating_sub(upstream_took);
                state.metrics.finished(&finished, took, overhead);
                let late = left() == Some(Duration::ZERO);
                return Ok(Ended { finished: *finished, answer: function_answer, overhead, late });
            }
            Action::Acquire { .. } if left() == Some(Duration::ZERO) => {
                Input::Refused { code: "timeout".to_owned(), message: "the deadline has passed".to_owned() }
            }
            Action::Acquire { tried, invocation } => {
                let bid = v1::Acquire {
                    number: 0, // The stream gives it one.
                    account: call.account.clone(),
                    function: call.function.clone(),
                    // An alias may be put to another revision meanwhile; all attempts run the one that was first granted.
                    qualifier: granted.map(revision).or_else(|| qualifier.clone()),
                    answer_limit_bytes: PAYLOAD_MAX_BYTES as u64,
                    limits: limits.clone(),
                    tried,
                    invocation: invocation.map(Into::into),
                };
                let further = invocation.is_some();
                match acquire(&state, bid).await {
                    Ok(input) => input,
                    // What became of the attempts before is the worse news.
                    Err(error) if further => Input::Refused { code: error.code, message: error.message },
                    Err(error) => return Err(error),
                }
            }
            Action::Send(grant) => {
                granted.get_or_insert(grant.revision);
                let attempt = state.upstream.send(&grant, &call, left()).await;
                upstream_took += attempt.took;
                function_answer = attempt.answer.unwrap_or_default();
                note_failure(&state, &grant.provider, &attempt.input);
                attempt.input
            }
            Action::Settle { lease, bill, proof } => {
                let invocation = machine.invocation().unwrap_or(lease);
                settle(&state, &call.account, invocation, lease, bill, proof).await
            }
            Action::Release { lease, why } => {
                state.stream.release(lease, why);
                Input::Released
            }
        };
        action = machine.step(input);
    }
}

fn note_failure(state: &State, provider: &str, input: &Input) {
    let (execution, reason) = match input {
        Input::NotSent { reason, .. } => ("not_sent", reason),
        Input::Unknown { reason, .. } => ("unknown", reason),
        _ => return,
    };
    state.metrics.attempt_failed(provider, execution);
    tracing::debug!(provider, execution, reason, "an attempt failed");
}

async fn acquire(state: &State, bid: v1::Acquire) -> Result<Input, ApiError> {
    match state.stream.acquire(bid).await {
        Answer::Granted(grant) => Ok(Input::Granted(grant)),
        Answer::Refused(refusal) => Ok(Input::Refused { code: refusal.code, message: refusal.message }),
        Answer::Settled { .. } | Answer::Unavailable => {
            Err(ApiError::unavailable("the exchange does not answer; try again shortly"))
        }
    }
}

/// Bills a lease; by its proof, if a crash of the exchange forgot it.
async fn settle(
    state: &State,
    account: &str,
    invocation: LeaseId,
    lease: LeaseId,
    bill: Bill,
    proof: Option<v1::LeaseProof>,
) -> Input {
    let executed = matches!(bill, Bill::Executed { .. });
    let settle = settle_message(lease, bill);
    let mut answer = state.stream.settle(settle).await;
    if let (Answer::Refused(refusal), Some(proof)) = (&answer, proof)
        && refusal.code == "forgotten"
    {
        answer = state.stream.settle_forgotten(proof, settle).await;
    }
    match answer {
        _ if !executed => Input::Released,
        Answer::Settled { cost, billed_ms } => Input::Settled { cost, billed_ms },
        // Settled by a message whose answer was lost, or closed meanwhile: its record says.
        Answer::Refused(refusal) if refusal.code == "closed" => settled_before(state, account, invocation, lease).await,
        Answer::Refused(refusal) => Input::Unsettled { reason: refusal.message },
        Answer::Granted(_) | Answer::Unavailable => {
            Input::Unsettled { reason: "the exchange does not answer".to_owned() }
        }
    }
}

fn settle_message(lease: LeaseId, bill: Bill) -> v1::Settle {
    let mut settle = v1::Settle { lease: Some(lease.into()), ..v1::Settle::default() };
    match bill {
        Bill::Executed { outcome, usage, observed_us, egress_bytes } => {
            settle.set_execution(v1::Execution::Executed);
            settle.set_outcome(outcome.into());
            settle.reported = usage.as_ref().map(|usage: &Usage| usage.into());
            settle.observed_us = observed_us;
            settle.egress_bytes = egress_bytes;
        }
        Bill::Unknown { fault } => {
            settle.set_execution(v1::Execution::Unknown);
            settle.fault = fault;
        }
    }
    settle
}

async fn settled_before(state: &State, account: &str, invocation: LeaseId, lease: LeaseId) -> Input {
    let mut client = state.exchange.brokerage.clone();
    let request = v1::GetInvocationRequest { account: account.to_owned(), id: Some(invocation.into()) };
    let record = answer(client.get_invocation(request)).await;
    let paid = |record: &v1::Invocation| {
        let paid = |attempt: &v1::Attempt| attempt.lease == Some(lease.into()) && attempt.outcome == "executed";
        record.attempts.iter().any(paid)
    };
    match record {
        Ok(record) if paid(&record) => Input::Settled { cost: record.cost, billed_ms: record.billed_ms },
        _ => Input::Unsettled {
            reason: "its lease was closed before, by the operator or by its deadline; it is not charged".to_owned(),
        },
    }
}

/// What a caller reads when its invocation did not execute.
pub(crate) fn failure(ended: &Ended) -> Option<ApiError> {
    let execution = |ran| match ran {
        Ran::NotSent => "not_sent",
        Ran::Unknown => "unknown",
        Ran::Executed => "executed",
    };
    let finished = &ended.finished;
    let error = match &finished.end {
        End::Executed { .. } => return None,
        End::Refused { .. } if ended.late => deadline("not_sent"),
        End::Failed { ran, .. } if ended.late => deadline(execution(*ran)),
        End::Refused { code, message } => ApiError::refused(code, message),
        End::Failed { ran: Ran::NotSent, busy: true, .. } => {
            ApiError::refused("no_capacity", "every eligible provider is full; try again shortly")
        }
        End::Failed { ran, reason, .. } => {
            let message = match ran {
                Ran::Executed => {
                    format!("the function ran, and its answer is withheld: it could not be settled: {reason}")
                }
                _ => format!("no provider answered; the last one: {reason}"),
            };
            ApiError::new(http::StatusCode::BAD_GATEWAY, "provider_failed", message)
                .with(json!({"execution": execution(*ran), "attempts": finished.attempts}))
        }
    };
    Some(match finished.invocation {
        Some(id) => error.about(id),
        None => error,
    })
}

fn deadline(execution: &str) -> ApiError {
    let message = "the deadline of Merit-Deadline passed before an answer";
    ApiError::new(http::StatusCode::GATEWAY_TIMEOUT, "timeout", message)
        .with(json!({"reason": "deadline", "execution": execution}))
}
