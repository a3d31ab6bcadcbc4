//! Runs one invocation: does the actions of the dispatch machine and feeds back what came of them, until its
//! settlement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use merit_terms::{Execution, LeaseId, Outcome, RefusalCode};
use serde_json::json;
use tokio::sync::oneshot;

use super::dispatch::{Action, Dispatch, End, Finished, Input, Leased, Misplaced};
use super::failure::{deadline, failed};
use super::preferences::Preferences;
use super::recipient::Recipient;
use super::stream::{Part, READ_WITHIN, pass_on};
use super::{Answered, Invocation, Invocations, Receipt, Told};
use crate::door_names::Door;
use crate::error::{ApiError, ErrorCode};
use crate::exchange::clients::unanswered;
use crate::exchange::invocations::QuoteRequest;
use crate::exchange::leases::lease::{Bid, Bill, Grant, NotSent, Qualifier};
use crate::exchange::leases::machine::LeaseReply;
use crate::metrics::ExecutedCall;
use crate::provider::answer::{Attempted, FunctionAnswer, StreamedAnswer};
use crate::provider::call::FunctionCall;
use crate::provider::end::AttemptEnd;
use crate::quota::admission::Admitted;

/// Time after its deadline in which a call may be settled before its caller is told.
const SETTLED_AFTER: Duration = Duration::from_millis(250);

/// An invocation under way.
struct Running {
    invocations: Arc<Invocations>,
    door: Door,
    call: FunctionCall,
    qualifier: Option<Qualifier>,
    preferences: Preferences,
    received: Instant,
    /// Time spent at providers.
    at_providers: Duration,
    /// Set once the whole of an answer that streams was passed on.
    is_whole: bool,
    /// The answer of the last attempt.
    answer: FunctionAnswer,
}

/// Runs an invocation to its end. Holds its room until then.
pub(super) async fn run(
    invocations: Arc<Invocations>,
    invocation: Invocation,
    answers: oneshot::Sender<Told>,
    _admitted: Admitted,
) {
    let Invocation { door, call, qualifier, preferences, received, when_gone } = invocation;
    let mut machine = Dispatch::new(preferences.one_attempt, preferences.idempotent);
    let (at_providers, answer) = (Duration::ZERO, FunctionAnswer::default());
    let mut running =
        Running { invocations, door, call, qualifier, preferences, received, at_providers, is_whole: false, answer };
    let mut recipient = Recipient::new(answers, when_gone);
    let mut action = machine.first();
    loop {
        let input = match action {
            Action::Finish(finished) => {
                running.count(&finished);
                return running.finish(*finished, recipient).await;
            }
            Action::Acquire { tried, invocation } => match running.acquire(tried, invocation).await {
                Ok(input) => input,
                Err(error) => {
                    running.invocations.metrics.refused(running.door, ErrorCode::Unavailable);
                    return recipient.tell(Err(error));
                }
            },
            Action::Send(leased) => {
                let started = Instant::now();
                let end = running.send(&leased, &mut machine, &mut recipient).await;
                Input::Ended { end, took_us: micros(started.elapsed()) }
            }
            Action::Settle(leased, bill) => running.settle(&leased, &bill, &mut recipient).await,
            Action::Release { lease, why } => {
                running.invocations.leases.release(lease, why);
                Input::Released
            }
        };
        action = match machine.step(input) {
            Ok(action) => action,
            Err(misplaced) => return running.give_up(&machine, &misplaced, recipient).await,
        };
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
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
        self.took().saturating_sub(self.at_providers)
    }

    async fn acquire(&self, tried: Vec<String>, invocation: Option<LeaseId>) -> Result<Input, ApiError> {
        let refused = |code: ErrorCode, message: &str| {
            Ok(Input::Refused { code, message: message.to_owned(), retry_after: None })
        };
        if self.is_late() {
            return refused(ErrorCode::Timeout, "the deadline has passed");
        }
        let further = invocation.is_some();
        if further && !self.invocations.retry_budget.spend() {
            self.invocations.metrics.retry_denied();
            return refused(ErrorCode::RetryBudget, "too many calls are tried again at present");
        }
        if !further {
            self.invocations.retry_budget.earn();
        }
        // A lease that is granted after the deadline is given back.
        let asked = self.invocations.leases.acquire(self.bid(tried, invocation));
        let reply = match self.left() {
            None => asked.await,
            Some(left) => match tokio::time::timeout(left, asked).await {
                Ok(reply) => reply,
                Err(_) => return refused(ErrorCode::Timeout, "the deadline passed before there was a lease"),
            },
        };
        match reply {
            LeaseReply::Granted(grant) => Ok(Input::Granted(grant)),
            LeaseReply::Refused { code, message, retry_after } => {
                Ok(Input::Refused { code: code.into(), message, retry_after })
            }
            // The failure of the attempts before is the worse news.
            LeaseReply::Settled(_) | LeaseReply::Unavailable if further => {
                refused(ErrorCode::Unavailable, "the exchange does not answer")
            }
            LeaseReply::Settled(_) | LeaseReply::Unavailable => Err(unanswered()),
        }
    }

    fn bid(&self, tried: Vec<String>, invocation: Option<LeaseId>) -> Bid {
        Bid {
            account: self.call.account.clone(),
            function: self.call.function.clone(),
            qualifier: self.qualifier.clone(),
            answer_limit_bytes: self.call.wanted.answer_max_bytes() as u64,
            limits: self.preferences.limits.clone(),
            tried,
            invocation,
        }
    }

    /// Makes one attempt, and passes on an answer that streams.
    async fn send(&mut self, leased: &Leased, machine: &mut Dispatch, recipient: &mut Recipient) -> AttemptEnd {
        let grant = &leased.grant;
        // An alias may point elsewhere meanwhile: all attempts run the revision that was granted first.
        self.qualifier = Some(Qualifier::Number(grant.revision));
        self.invocations.metrics.attempted(&grant.market, &grant.provider, machine.attempts() > 1);
        if recipient.is_gone() {
            machine.no_more();
            return AttemptEnd::NotSent { why: NotSent::Withdrawn, reason: "the caller went away".to_owned() };
        }
        let may_repeat = machine.may_repeat(grant) && !self.call.payload.is_spent();
        let started = Instant::now();
        let attempted = tokio::select! {
            biased;
            attempted = self.invocations.providers.send(grant, &self.call, self.left(), may_repeat) => attempted,
            () = recipient.gone() => {
                machine.no_more();
                Attempted::Nothing(AttemptEnd::Unknown { fault: false, reason: "the caller went away".to_owned() })
            }
        };
        self.at_providers += started.elapsed();
        if self.call.payload.is_spent() {
            machine.no_more();
        }
        let end = match attempted {
            Attempted::Nothing(end) => end,
            Attempted::Whole(end, answer) => {
                self.answer = *answer;
                end
            }
            Attempted::Streams(answer) => {
                if let Some(kept) = machine.begun() {
                    self.invocations.leases.release(kept, NotSent::Replaced);
                }
                let mut answer = self.begin(machine.attempts(), leased, *answer, recipient);
                let started = Instant::now();
                let (end, is_whole) = pass_on(&mut answer, recipient.parts(), recipient.when_gone).await;
                self.is_whole = is_whole;
                self.at_providers += started.elapsed();
                end
            }
        };
        self.note_failure(&grant.provider, &end);
        end
    }

    /// Ends an invocation that a bug stopped. A lease that it holds is closed as one whose call may have run.
    async fn give_up(self, machine: &Dispatch, bug: &Misplaced, mut recipient: Recipient) {
        let error = ApiError::internal("the broker failed; its log says why");
        let Some(leased) = machine.leased() else {
            tracing::error!(%bug, "an invocation was given up");
            self.invocations.metrics.refused(self.door, error.code);
            return recipient.tell(Err(error));
        };
        let (invocation, Grant { lease, market, provider, .. }) = (leased.invocation, &*leased.grant);
        tracing::error!(%bug, %invocation, %lease, provider, "an invocation was given up");
        self.invocations.metrics.failed(self.door, market, provider);
        recipient.tell(Err(ApiError { execution: Execution::Unknown, ..error }.about(invocation)));
        let bill = Bill::Unknown { fault: false, observed_us: micros(self.took()), given_up: true };
        self.invocations.settle(&self.call.account, leased, &bill).await;
    }

    /// Settles a lease. If the deadline passes first, the caller gets 504 while the settlement goes on.
    async fn settle(&self, leased: &Leased, bill: &Bill, recipient: &mut Recipient) -> Input {
        let settling = self.invocations.settle(&self.call.account, leased, bill);
        let Some(left) = self.left() else { return settling.await };
        tokio::pin!(settling);
        if let Ok(settled) = tokio::time::timeout(left + SETTLED_AFTER, &mut settling).await {
            return settled;
        }
        let execution = match bill {
            Bill::Executed { .. } => Execution::Executed,
            Bill::Unknown { .. } => Execution::Unknown,
        };
        recipient.tell(Err(deadline(execution).about(leased.invocation).added(self.overhead())));
        settling.await
    }

    /// Answers with the beginning of an answer that streams. Returns the answer for its rest.
    fn begin(
        &self,
        attempts: usize,
        leased: &Leased,
        mut streamed: StreamedAnswer,
        recipient: &mut Recipient,
    ) -> StreamedAnswer {
        let length = streamed.length();
        let answer = std::mem::take(&mut streamed.answer);
        streamed.answer.report.clone_from(&answer.report);
        let receipt = Receipt {
            invocation: leased.invocation,
            grant: leased.grant.clone(),
            attempts,
            paid: None,
            overhead: self.overhead(),
            with_log: self.preferences.with_log,
        };
        let outcome = answer.report.as_ref().map_or(Outcome::Ok, |report| report.outcome);
        recipient.begin(Answered { receipt, outcome, answer, rest: None }, length);
        streamed
    }

    /// Counts the end of the invocation in the metrics.
    fn count(&self, finished: &Finished) {
        let metrics = &self.invocations.metrics;
        match &finished.end {
            End::Executed { leased: Leased { grant, .. }, outcome, paid } => {
                let call = ExecutedCall {
                    market: &grant.market,
                    provider: &grant.provider,
                    outcome: *outcome,
                    cost: paid.cost,
                    took: self.took(),
                    overhead: self.overhead(),
                };
                metrics.executed(self.door, &call);
            }
            End::Refused { code, .. } => metrics.refused(self.door, *code),
            End::Failed { leased: Leased { grant, .. }, .. } => {
                metrics.failed(self.door, &grant.market, &grant.provider);
            }
        }
    }

    fn note_failure(&self, provider: &str, end: &AttemptEnd) {
        let (how, reason) = match end {
            AttemptEnd::Executed { gateway_error: true, .. } => ("gateway_error", "a 502, 503 or 504"),
            AttemptEnd::Executed { .. } => return,
            AttemptEnd::NotSent { reason, .. } => (Execution::NotSent.as_str(), reason.as_str()),
            AttemptEnd::Unknown { reason, .. } => (Execution::Unknown.as_str(), reason.as_str()),
        };
        self.invocations.metrics.attempt_failed(provider, how);
        tracing::debug!(provider, how, reason, "an attempt failed");
    }

    async fn finish(self, finished: Finished, mut recipient: Recipient) {
        let late = self.is_late();
        if let Some(parts) = recipient.parts() {
            let last = match finished.end {
                End::Executed { outcome: Outcome::Ok, paid, .. } if self.is_whole => Part::Settled(paid),
                End::Executed { .. } | End::Refused { .. } | End::Failed { .. } => Part::Broken,
            };
            // A caller that is gone needs no end.
            drop(parts.send_timeout(last, READ_WITHIN).await);
            return;
        }
        let (overhead, attempts) = (self.overhead(), finished.attempts);
        let told = match finished.end {
            End::Executed { leased: Leased { invocation, grant }, outcome, paid } => {
                let (paid, with_log) = (Some(paid), self.preferences.with_log);
                let receipt = Receipt { invocation, grant, attempts, paid, overhead, with_log };
                Ok(Answered { receipt, outcome, answer: self.answer, rest: None })
            }
            End::Refused { code, message, retry_after } => {
                let mut error = ApiError::new(code, message);
                if let Some(retry_after) = retry_after {
                    error = error.retry_after(retry_after);
                }
                Err(self.error(error, late, Execution::NotSent).await.added(overhead))
            }
            End::Failed { leased, failure } => {
                let ran = failure.ran;
                let error = self.error(failed(failure, attempts), late, ran).await;
                Err(error.about(leased.invocation).added(overhead))
            }
        };
        recipient.tell(told);
    }

    /// Returns the error that the caller reads: a fault with its payload, or a deadline that passed, comes first.
    async fn error(&self, error: ApiError, late: bool, ran: Execution) -> ApiError {
        if let Some(fault) = self.call.payload.fault() {
            return fault;
        }
        let error = if late { deadline(ran) } else { error };
        let explained = self.explained(error.clone());
        match self.left() {
            None => explained.await,
            // The deadline comes before the explanation.
            Some(left) => tokio::time::timeout(left, explained).await.unwrap_or(error),
        }
    }

    /// Adds the reason of each offer to an error that no provider is eligible, and the nearest name to one that there
    /// is no such function.
    async fn explained(&self, mut error: ApiError) -> ApiError {
        if error.code == RefusalCode::NotFound.into() {
            return self.invocations.exchange.near_function(error, &self.call.account, &self.call.function).await;
        }
        if error.code != RefusalCode::NoEligibleProvider.into() {
            return error;
        }
        let call = QuoteRequest {
            account: &self.call.account,
            function: self.call.function.clone(),
            qualifier: self.qualifier.clone(),
            answer_limit_bytes: self.call.wanted.answer_max_bytes() as u64,
            limits: &self.preferences.limits,
        };
        let quote = self.invocations.exchange.quote(call).await;
        let (refused, more) = quote.map(|quote| (quote.refused, quote.more_refused)).unwrap_or_default();
        let (only, seen) = (&self.preferences.limits.only, refused.iter().map(|offer| offer.provider.as_str()));
        for unknown in self.invocations.exchange.unknown_providers(&self.call.account, only, seen).await {
            error.message.push_str(&format!("; {unknown}"));
        }
        match (refused.is_empty(), more.is_empty()) {
            (true, true) => error,
            (_, true) => error.with(json!({"refused": refused})),
            (_, false) => error.with(json!({"refused": refused, "more_refused": more})),
        }
    }
}
