//! The one internal call behind every door: an invocation, from a parsed request to its answer.
//!
//! Runs the dispatch machine: does its actions and feeds back what came of them. Goes on to its settlement when the
//! caller goes away; what else that means, the door says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use merit_proto::v1;
use merit_terms::{Execution, LeaseId, Limits, Outcome};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tower::retry::budget::Budget;

use super::settle::settle;
use super::stream::{Hearing, READ_WITHIN};
use crate::error::ApiError;
use crate::exchange::clients::answer;
use crate::exchange::leases::Answer;
use crate::invocation::dispatch::{Action, Bill, Dispatch, End, Finished, Input, Ran};
use crate::invocation::preferences::Preferences;
use crate::metrics::Door;
use crate::provider::attempt::{Call, Came, FunctionAnswer, Next, Streams};
use crate::server::{Admitted, State};

/// Parts of an answer that may wait for a caller who reads slowly.
const PARTS_WAITING_MAX: usize = 8;
/// How long after its deadline a call may take to be settled before its caller is told.
const SETTLED_AFTER: Duration = Duration::from_millis(250);

/// A parsed request of any door.
pub(crate) struct Invocation {
    pub(crate) door: Door,
    pub(crate) call: Call,
    pub(crate) qualifier: Option<v1::Qualifier>,
    pub(crate) preferences: Preferences,
    pub(crate) received: Instant,
    pub(crate) when_gone: WhenGone,
}

/// What it means that the caller goes away before its answer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenGone {
    /// The provider is told, and what ran is charged.
    Cancel,
    /// The call goes on to its end.
    GoOn,
}

/// A call that executed, as its door answers it.
pub(crate) struct Answered {
    pub(crate) receipt: Receipt,
    pub(crate) outcome: Outcome,
    pub(crate) answer: FunctionAnswer,
    /// The rest of an answer that streams, of which the answer's body is the beginning.
    pub(crate) rest: Option<Rest>,
}

/// What the caller is told of its call.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) invocation: LeaseId,
    pub(crate) grant: Arc<v1::Grant>,
    pub(crate) attempts: usize,
    /// None while an answer streams: it is not known yet.
    pub(crate) paid: Option<Paid>,
    /// What Merit added to the providers' time.
    pub(crate) overhead: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Paid {
    /// Picodollars.
    pub(crate) cost: u64,
    pub(crate) billed_ms: u64,
}

/// The rest of an answer, part by part; its end comes when it is settled.
pub(crate) struct Rest {
    pub(crate) parts: mpsc::Receiver<Part>,
    pub(crate) length: Option<u64>,
}

pub(crate) enum Part {
    Bytes(Bytes),
    /// The whole answer has been passed on, and is settled.
    Settled(Paid),
    /// It breaks off here.
    Broken,
}

type Told = Result<Answered, ApiError>;

/// Runs an invocation and waits for its answer, or for the beginning of one that streams.
pub(crate) async fn invoke(state: &Arc<State>, invocation: Invocation) -> Told {
    let admitted = state.admit(&invocation.call.account)?;
    let (answers, told) = oneshot::channel();
    state.invocations.spawn(run(state.clone(), invocation, answers, admitted));
    told.await.unwrap_or_else(|_| {
        tracing::error!("an invocation's task failed");
        Err(ApiError::internal("the broker failed; its log says why"))
    })
}

/// An invocation under way.
struct Running {
    state: Arc<State>,
    door: Door,
    call: Call,
    qualifier: Option<v1::Qualifier>,
    preferences: Preferences,
    received: Instant,
    /// Time spent at providers.
    upstream: Duration,
    /// Of an answer that streams, whether the whole of it was passed on.
    is_whole: bool,
    /// What the last attempt answered.
    answer: FunctionAnswer,
}

/// Holds its room until it ends.
async fn run(state: Arc<State>, invocation: Invocation, answers: oneshot::Sender<Told>, _admitted: Admitted) {
    let Invocation { door, call, qualifier, preferences, received, when_gone } = invocation;
    let mut machine = Dispatch::new(preferences.one_attempt, preferences.idempotent);
    let (upstream, answer) = (Duration::ZERO, FunctionAnswer::default());
    let mut running =
        Running { state, door, call, qualifier, preferences, received, upstream, is_whole: false, answer };
    let mut caller = Caller { waits: Some(answers), parts: None, when_gone };
    let mut action = machine.first();
    loop {
        let input = match action {
            Action::Finish(finished) => {
                running.state.metrics.finished(running.door, &finished, running.took(), running.overhead());
                return running.finish(*finished, caller).await;
            }
            Action::Acquire { tried, invocation } => match running.acquire(tried, invocation).await {
                Ok(input) => input,
                Err(error) => {
                    running.state.metrics.unanswered(running.door);
                    return caller.tell(Err(error));
                }
            },
            Action::Send(grant) => running.send(&grant, &mut machine, &mut caller).await,
            Action::Settle { lease, bill, proof } => {
                let invocation = machine.invocation().unwrap_or(lease);
                running.settle(invocation, lease, bill, proof, &mut caller).await
            }
            Action::Release { lease, why } => {
                running.state.stream.release(lease, why);
                Input::Released
            }
        };
        action = machine.step(input);
    }
}

/// Who waits for the answer.
struct Caller {
    /// Until it is answered.
    waits: Option<oneshot::Sender<Told>>,
    /// Of an answer that streams.
    parts: Option<mpsc::Sender<Part>>,
    when_gone: WhenGone,
}

impl Caller {
    fn tell(self, told: Told) {
        if let Some(waits) = self.waits {
            // A caller that is gone is not told.
            drop(waits.send(told));
        }
    }

    /// Whether the caller is gone and wants the call cancelled.
    fn is_gone(&self) -> bool {
        self.when_gone == WhenGone::Cancel && self.waits.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// Returns when the caller is gone and wants the call cancelled; never otherwise.
    async fn cancelled(&mut self) {
        match (&mut self.waits, self.when_gone) {
            (Some(waits), WhenGone::Cancel) => waits.closed().await,
            _ => std::future::pending().await,
        }
    }
}

impl Running {
    fn left(&self) -> Option<Duration> {
        self.preferences.within.map(|within| within.saturating_sub(self.received.elapsed()))
    }

    fn is_late(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }

    fn took(&self) -> Duration {
        self.received.elapsed()
    }

    fn overhead(&self) -> Duration {
        self.took().saturating_sub(self.upstream)
    }

    async fn acquire(&self, tried: Vec<String>, invocation: Option<LeaseId>) -> Result<Input, ApiError> {
        let refused =
            |code: &str, message: &str| Ok(Input::Refused { code: code.to_owned(), message: message.to_owned() });
        if self.is_late() {
            return refused("timeout", "the deadline has passed");
        }
        let further = invocation.is_some();
        if further && !self.state.retries.withdraw() {
            self.state.metrics.retry_denied();
            return refused("retry_budget", "too many calls are tried again at present");
        }
        if !further {
            self.state.retries.deposit();
        }
        let limits = &self.preferences.limits;
        let bid = v1::Acquire {
            number: 0, // The stream gives it one.
            account: self.call.account.to_string(),
            function: self.call.function.clone(),
            qualifier: self.qualifier.clone(),
            answer_limit_bytes: self.call.wanted.answer_max_bytes() as u64,
            limits: (*limits != Limits::default()).then(|| limits.into()),
            tried,
            invocation: invocation.map(Into::into),
        };
        // A lease that is granted later is given back.
        let asked = self.state.stream.acquire(bid);
        let granted = match self.left() {
            None => asked.await,
            Some(left) => match tokio::time::timeout(left, asked).await {
                Ok(granted) => granted,
                Err(_) => return refused("timeout", "the deadline passed before there was a lease"),
            },
        };
        match granted {
            Answer::Granted(grant) => Ok(Input::Granted(grant)),
            Answer::Refused(refusal) => Ok(Input::Refused { code: refusal.code, message: refusal.message }),
            // What became of the attempts before is the worse news.
            Answer::Settled { .. } | Answer::Unavailable if further => {
                refused("unavailable", "the exchange does not answer")
            }
            Answer::Settled { .. } | Answer::Unavailable => {
                Err(ApiError::unavailable("the exchange does not answer; try again shortly"))
            }
        }
    }

    /// One attempt, and the passing on of an answer that streams.
    async fn send(&mut self, grant: &Arc<v1::Grant>, machine: &mut Dispatch, caller: &mut Caller) -> Input {
        // An alias may be put to another revision meanwhile; all attempts run the one that was first granted.
        let revision = v1::qualifier::Revision::Number(grant.revision);
        self.qualifier = Some(v1::Qualifier { revision: Some(revision) });
        self.state.metrics.attempted(grant, machine.attempts() > 1);
        if caller.is_gone() {
            machine.no_more();
            return Input::NotSent { why: v1::NotSent::Withdrawn, reason: "the caller went away".to_owned() };
        }
        let started = Instant::now();
        let came = tokio::select! {
            biased;
            came = self.state.upstream.send(grant, &self.call, self.left()) => came,
            () = caller.cancelled() => {
                machine.no_more();
                Came::Nothing(Input::Unknown { fault: false, reason: "the caller went away".to_owned() })
            }
        };
        self.upstream += started.elapsed();
        if self.call.payload.is_spent() {
            machine.no_more();
        }
        let input = match came {
            Came::Nothing(input) => input,
            Came::Whole(input, answer) => {
                self.answer = *answer;
                input
            }
            Came::Streams(streams) => {
                machine.no_more();
                let mut streams = self.begin(machine, grant, *streams, caller);
                let started = Instant::now();
                let (input, is_whole) = pass_on(&mut streams, caller).await;
                self.is_whole = is_whole;
                self.upstream += started.elapsed();
                input
            }
        };
        note_failure(&self.state, &grant.provider, &input);
        input
    }

    /// Bills a lease. Whose deadline passes meanwhile is told so, and its record says what came of it.
    async fn settle(
        &self,
        invocation: LeaseId,
        lease: LeaseId,
        bill: Bill,
        proof: Option<v1::LeaseProof>,
        caller: &mut Caller,
    ) -> Input {
        let execution = match bill {
            Bill::Executed { .. } => Execution::Executed,
            Bill::Unknown { .. } => Execution::Unknown,
        };
        let settling = settle(&self.state, &self.call.account, invocation, lease, bill, proof);
        let Some(left) = self.left() else { return settling.await };
        tokio::pin!(settling);
        // What ends at its deadline mostly is settled at once.
        if let Ok(settled) = tokio::time::timeout(left + SETTLED_AFTER, &mut settling).await {
            return settled;
        }
        if let Some(waits) = caller.waits.take() {
            let late = deadline(execution).about(invocation).added(self.overhead());
            // A caller that is gone is not told.
            drop(waits.send(Err(late)));
        }
        settling.await
    }

    /// Tells the caller what there is of an answer that streams.
    fn begin(&self, machine: &Dispatch, grant: &Arc<v1::Grant>, mut streams: Streams, caller: &mut Caller) -> Streams {
        let (sender, parts) = mpsc::channel(PARTS_WAITING_MAX);
        let length = streams.length();
        let begun = std::mem::take(&mut streams.answer);
        streams.answer.report.clone_from(&begun.report);
        let receipt = Receipt {
            invocation: machine.invocation().unwrap_or(LeaseId { run: 0, sequence: 0 }),
            grant: grant.clone(),
            attempts: machine.attempts(),
            paid: None,
            overhead: self.overhead(),
        };
        let outcome = begun.report.as_ref().map_or(Outcome::Ok, |report| report.outcome);
        let answered = Answered { receipt, outcome, answer: begun, rest: Some(Rest { parts, length }) };
        caller.parts = Some(sender);
        if let Some(waits) = caller.waits.take() {
            // A caller that is gone is seen by its parts.
            drop(waits.send(Ok(answered)));
        }
        streams
    }

    async fn finish(self, finished: Finished, caller: Caller) {
        let late = self.is_late();
        if let Some(parts) = caller.parts {
            let last = match finished.end {
                End::Executed { outcome: Outcome::Ok, cost, billed_ms } if self.is_whole => {
                    Part::Settled(Paid { cost, billed_ms })
                }
                End::Executed { .. } | End::Refused { .. } | End::Failed { .. } => Part::Broken,
            };
            // A caller that is gone needs no end.
            drop(parts.send_timeout(last, READ_WITHIN).await);
            return;
        }
        let overhead = self.overhead();
        let told = match (finished.end, finished.invocation, finished.grant) {
            (End::Executed { outcome, cost, billed_ms }, Some(invocation), Some(grant)) => {
                let paid = Some(Paid { cost, billed_ms });
                let receipt = Receipt { invocation, grant, attempts: finished.attempts, paid, overhead };
                Ok(Answered { receipt, outcome, answer: self.answer, rest: None })
            }
            (end, invocation, _) => {
                let error = match self.call.payload.fault() {
                    Some(fault) => fault,
                    None => self.explained(failure(end, finished.attempts, late)).await,
                };
                Err(match invocation {
                    Some(id) => error.about(id).added(overhead),
                    None => error.added(overhead),
                })
            }
        };
        caller.tell(told);
    }

    /// Offer by offer, why none may serve the call.
    async fn explained(&self, error: ApiError) -> ApiError {
        if error.code != "no_eligible_provider" {
            return error;
        }
        let request = v1::QuoteRequest {
            account: self.call.account.to_string(),
            function: self.call.function.clone(),
            qualifier: self.qualifier.clone(),
            answer_limit_bytes: self.call.wanted.answer_max_bytes() as u64,
            limits: Some((&self.preferences.limits).into()),
        };
        match answer(self.state.exchange.brokerage.clone().quote(request)).await {
            Ok(quoted) => error.with(json!({"refused": crate::json::refused_offers(&quoted)})),
            Err(_) => error,
        }
    }
}

/// Passes the rest of an answer on, as fast as the caller reads; how it ended, and whether the caller has the whole of it.
async fn pass_on(streams: &mut Streams, caller: &Caller) -> (Input, bool) {
    let Some(parts) = &caller.parts else { return (streams.executed(), false) };
    // A call that goes on without its caller is read to its end, of which nobody hears.
    let cancels = caller.when_gone == WhenGone::Cancel;
    let mut hearing = Hearing::new(parts);
    loop {
        let next = tokio::select! {
            next = streams.next() => next,
            () = parts.closed(), if cancels => return (streams.executed(), false),
        };
        match next {
            Next::Whole(input) => return (input, hearing.has_all()),
            Next::Broken(input) => return (input, false),
            Next::Part(bytes) => {
                streams.waited(hearing.pass(bytes).await);
                if cancels && !hearing.has_all() {
                    return (streams.executed(), false);
                }
            }
        }
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

/// What a caller reads when its invocation did not execute.
fn failure(end: End, attempts: usize, late: bool) -> ApiError {
    let (ran, busy, reason) = match end {
        End::Refused { .. } if late => return deadline(Execution::NotSent),
        End::Failed { ran, .. } if late => return deadline(execution(ran)),
        End::Refused { code, message } => return ApiError::refused(&code, message),
        End::Failed { ran, busy, reason } => (ran, busy, reason),
        End::Executed { .. } => (Ran::Executed, false, "it names no lease".to_owned()),
    };
    if ran == Ran::NotSent && busy {
        return ApiError::refused("no_capacity", "every eligible provider is full; try again shortly");
    }
    let message = match ran {
        Ran::Executed => format!("the function ran, and its answer is withheld: it could not be settled: {reason}"),
        Ran::NotSent | Ran::Unknown => format!("no provider answered; the last one: {reason}"),
    };
    let execution = execution(ran);
    ApiError::new(http::StatusCode::BAD_GATEWAY, "provider_failed", message)
        .after(execution)
        .with(json!({"execution": execution.as_str(), "attempts": attempts}))
}

const fn execution(ran: Ran) -> Execution {
    match ran {
        Ran::NotSent => Execution::NotSent,
        Ran::Unknown => Execution::Unknown,
        Ran::Executed => Execution::Executed,
    }
}

pub(crate) fn deadline(execution: Execution) -> ApiError {
    let message = "the deadline of Merit-Deadline passed before an answer";
    ApiError::new(http::StatusCode::GATEWAY_TIMEOUT, "timeout", message)
        .after(execution)
        .with(json!({"reason": "deadline", "execution": execution.as_str()}))
}
