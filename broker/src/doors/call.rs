//! A request as the internal call: the checks before its payload, and the way of all calls that need no more.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::body::Body;
use axum::response::Response;
use http::HeaderMap;
use http::request::Parts;
use merit_terms::{Execution, Name};

use super::answer::respond;
use super::headers;
use crate::broker::Broker;
use crate::caller::{Caller, holder};
use crate::door_names::Door;
use crate::error::ApiError;
use crate::exchange::leases::lease::Qualifier;
use crate::invocation::failure::deadline;
use crate::invocation::preferences::{Preferences, Received};
use crate::invocation::via;
use crate::invocation::{Invocation, WhenGone};
use crate::provider::call::{FunctionCall, PassedThrough, Wanted};
use crate::provider::payload::Payload;
use crate::quota::bodies::Room;

/// A door's part of a call, beside the request itself.
pub(super) struct Ask {
    pub(super) door: Door,
    pub(super) function: Name,
    pub(super) qualifier: Option<Qualifier>,
    pub(super) wanted: Wanted,
    pub(super) when_gone: WhenGone,
    pub(super) passed: Option<PassedThrough>,
    pub(super) payload_max_bytes: usize,
}

/// A call that passed the checks that need no payload.
pub(super) struct CheckedCall {
    received: Instant,
    preferences: Preferences,
}

impl CheckedCall {
    /// Does work before the call within its deadline.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
        let Some(within) = self.preferences.within else { return work.await };
        let left = within.saturating_sub(self.received.elapsed());
        tokio::time::timeout(left, work).await.unwrap_or_else(|_| Err(deadline(Execution::NotSent)))
    }
}

/// Checks a call without its payload, and counts it against the account's rate.
pub(super) async fn check(broker: &Broker, caller: &Caller, parts: &Parts) -> Result<CheckedCall, ApiError> {
    let checked = check_again(caller, parts)?;
    checked.in_time(broker.rates.count(&caller.account)).await?;
    Ok(checked)
}

/// Checks a call that was counted before.
pub(super) fn check_again(caller: &Caller, parts: &Parts) -> Result<CheckedCall, ApiError> {
    let received = parts.extensions.get().map_or_else(Instant::now, |Received(at)| *at);
    refuse_what_waits(&parts.headers)?;
    let preferences = Preferences::read(&parts.headers, SystemTime::now())?;
    caller.must_call()?;
    Ok(CheckedCall { received, preferences })
}

/// Returns the invocation that a request asks for.
pub(super) fn invocation(
    checked: CheckedCall,
    caller: &Caller,
    ask: Ask,
    parts: &Parts,
    payload: Payload,
) -> Invocation {
    let CheckedCall { received, preferences } = checked;
    let call = FunctionCall {
        account: caller.account.clone(),
        function: ask.function.to_string(),
        headers: headers::of_caller(parts),
        request: ask.passed,
        payload,
        wanted: ask.wanted,
        via: via::shown(&parts.headers),
    };
    let (door, qualifier, when_gone) = (ask.door, ask.qualifier, ask.when_gone);
    Invocation { door, call, qualifier, preferences, received, when_gone }
}

/// Refuses async calls and stored idempotency, which are specified and not built yet.
fn refuse_what_waits(headers: &HeaderMap) -> Result<(), ApiError> {
    let prefers = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    if prefers.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case("respond-async")) {
        return Err(ApiError::not_implemented("async calls (Prefer: respond-async)"));
    }
    if headers.contains_key("idempotency-key") {
        return Err(ApiError::not_implemented("Idempotency-Key"));
    }
    Ok(())
}

/// Checks a request, runs it and returns its answer.
pub(super) async fn pass(
    broker: &Arc<Broker>,
    caller: &Caller,
    ask: Ask,
    parts: &Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let checked = check(broker, caller, parts).await?;
    pass_checked(broker, checked, caller, ask, parts, body).await
}

/// Runs a checked request and returns its answer.
pub(super) async fn pass_checked(
    broker: &Arc<Broker>,
    checked: CheckedCall,
    caller: &Caller,
    ask: Ask,
    parts: &Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let reading = Payload::read(body, ask.payload_max_bytes, Room::new(&broker.bodies, holder(parts)));
    let payload = checked.in_time(reading).await?;
    let answered = broker.invocations.run(invocation(checked, caller, ask, parts, payload)).await?;
    Ok(respond(answered, &parts.headers))
}
