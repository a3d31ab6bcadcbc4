//! The one internal call behind every door: an invocation, from a parsed request to how it ended.
//!
//! Runs the dispatch machine: does its actions and feeds back what came of them. Goes on to its settlement when the
//! caller goes away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use merit_proto::v1;
use merit_proto::v1::acquire_response::Answer;
use merit_terms::{LeaseId, Limits, Usage};
use serde_json::json;

use crate::PAYLOAD_MAX_BYTES;
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

/// Runs an invocation to its end. It goes on when the caller is gone: what was leased is settled.
pub(crate) async fn invoke(state: &Arc<State>, invocation: Invocation) -> Result<Ended, ApiError> {
    let ended = tokio::spawn(run(state.clone(), invocation)).await;
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
                let request = v1::AcquireRequest {
                    account: call.account.clone(),
                    function: call.function.clone(),
                    qualifier: qualifier.clone(),
                    answer_limit_bytes: PAYLOAD_MAX_BYTES as u64,
                    limits: limits.clone(),
                    tried,
                    invocation: invocation.map(Into::into),
                };
                acquire(&state, request).await?
            }
            Action::Send(grant) => {
                let attempt = state.upstream.send(&grant, &call, left()).await;
                upstream_took += attempt.took;
                function_answer = attempt.answer.unwrap_or_default();
                note_failure(&state, &grant.provider, &attempt.input);
                attempt.input
            }
            Action::Settle(lease, bill) => settle(&state, lease, bill).await?,
            Action::Release { lease, busy } => release(&state, lease, busy).await?,
        };
        action = machine.step(input);
    }
}

fn note_failure(state: &State, provider: &str, input: &Input) {
    let (execution, reason) = match input {
        Input::NotSent { reason, .. } => ("not_sent", reason),
        Input::Unknown { reason } => ("unknown", reason),
        _ => return,
    };
    state.metrics.attempt_failed(provider, execution);
    tracing::debug!(provider, execution, reason, "an attempt failed");
}

async fn acquire(state: &State, request: v1::AcquireRequest) -> Result<Input, ApiError> {
    let mut client = state.exchange.brokerage.clone();
    match answer(client.acquire(request)).await?.answer {
        Some(Answer::Grant(grant)) => Ok(Input::Granted(Box::new(grant))),
        Some(Answer::Refusal(refusal)) => Ok(Input::Refused { code: refusal.code, message: refusal.message }),
        None => Err(ApiError::unavailable("the exchange answered neither a grant nor a refusal")),
    }
}

async fn settle(state: &State, lease: LeaseId, bill: Bill) -> Result<Input, ApiError> {
    let mut request = v1::SettleRequest { lease: Some(lease.into()), ..v1::SettleRequest::default() };
    let unknown = bill == Bill::Unknown;
    match bill {
        Bill::Executed { outcome, usage, observed_us, egress_bytes } => {
            request.set_execution(v1::Execution::Executed);
            request.set_outcome(outcome.into());
            request.reported = usage.as_ref().map(|usage: &Usage| usage.into());
            request.observed_us = observed_us;
            request.egress_bytes = egress_bytes;
        }
        Bill::Unknown => request.set_execution(v1::Execution::Unknown),
    }
    let mut client = state.exchange.brokerage.clone();
    let settled = answer(client.settle(request)).await.map_err(|error| error.about(lease))?;
    Ok(match (unknown, settled.closed) {
        (false, false) => Input::Settled { cost: settled.cost, billed_ms: settled.billed_ms },
        _ => Input::Closed,
    })
}

async fn release(state: &State, lease: LeaseId, busy: bool) -> Result<Input, ApiError> {
    let mut client = state.exchange.brokerage.clone();
    answer(client.release(v1::ReleaseRequest { lease: Some(lease.into()), busy })).await?;
    Ok(Input::Closed)
}

/// What a caller reads when its invocation did not execute.
pub(crate) fn failure(ended: &Ended) -> Option<ApiError> {
    let execution = |ran| match ran {
        Ran::NotSent => "not_sent",
        Ran::Unknown => "unknown",
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
            let message = format!("no provider answered; the last one: {reason}");
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
