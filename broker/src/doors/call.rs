//! What the doors share: a request as the internal call, and its answer as an HTTP answer with its receipt.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use merit_proto::v1;
use merit_terms::{Execution, Name, Outcome};
use serde_json::json;
use tokio::sync::mpsc;

use super::headers;
use crate::caller::{Caller, Received};
use crate::error::ApiError;
use crate::invocation::preferences::Preferences;
use crate::invocation::run::{Answered, Invocation, Paid, Part, Receipt, Rest, WhenGone, deadline};
use crate::json::decimal;
use crate::metrics::Door;
use crate::provider::attempt::{Call, PassedThrough, Wanted};
use crate::provider::payload::{Payload, Room};
use crate::server::State as Broker;

/// What a door asks, beside the request itself.
pub(super) struct Ask {
    pub(super) door: Door,
    pub(super) function: Name,
    pub(super) qualifier: Option<v1::Qualifier>,
    pub(super) wanted: Wanted,
    pub(super) when_gone: WhenGone,
    pub(super) passed: Option<PassedThrough>,
    pub(super) payload_max_bytes: usize,
}

/// What is known of a call that may be made, before its payload is read.
pub(super) struct Admitted {
    received: Instant,
    preferences: Preferences,
}

impl Admitted {
    /// Does what comes before the call within its deadline, too.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
        let Some(within) = self.preferences.within else { return work.await };
        let left = within.saturating_sub(self.received.elapsed());
        tokio::time::timeout(left, work).await.unwrap_or_else(|_| Err(deadline(Execution::NotSent)))
    }
}

/// Refuses what needs no payload to be refused, and counts the call.
pub(super) async fn admit(broker: &Broker, caller: &Caller, parts: &Parts) -> Result<Admitted, ApiError> {
    let admitted = admit_again(caller, parts)?;
    admitted.in_time(broker.rates.count(&caller.account)).await?;
    Ok(admitted)
}

/// The same of a call that was counted before.
pub(super) fn admit_again(caller: &Caller, parts: &Parts) -> Result<Admitted, ApiError> {
    let received = parts.extensions.get().map_or_else(Instant::now, |Received(at)| *at);
    refuse_what_waits(&parts.headers)?;
    let preferences = Preferences::read(&parts.headers, SystemTime::now())?;
    caller.must_call()?;
    Ok(Admitted { received, preferences })
}

/// The internal call that a request asks for.
pub(super) fn invocation(admitted: Admitted, caller: &Caller, ask: Ask, parts: &Parts, payload: Payload) -> Invocation {
    let Admitted { received, preferences } = admitted;
    let call = Call {
        account: caller.account.clone(),
        function: ask.function.to_string(),
        headers: headers::of_caller(parts),
        request: ask.passed,
        payload,
        wanted: ask.wanted,
    };
    let (door, qualifier, when_gone) = (ask.door, ask.qualifier, ask.when_gone);
    Invocation { door, call, qualifier, preferences, received, when_gone }
}

/// Async calls and stored idempotency are specified and not there yet.
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

/// The answer over HTTP: the function's own, with the receipt in its headers; or that it failed.
pub(super) fn respond(answered: Answered, asked: &HeaderMap) -> Response {
    let Answered { receipt, outcome, answer, rest } = answered;
    if outcome != Outcome::Ok {
        let message = answer.report.and_then(|report| report.message);
        let mut response = function_error(&receipt, outcome, message).into_response();
        write_receipt(response.headers_mut(), &receipt);
        return response;
    }
    let mut headers = headers::of_function(answer.headers);
    let body = match rest {
        None => Body::from(answer.body),
        Some(rest) => {
            let end = match rest.length {
                _ if wants_trailers(asked) => StreamEnd::Trailers,
                Some(length) => {
                    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
                    StreamEnd::Length
                }
                None => StreamEnd::LastChunk,
            };
            if end == StreamEnd::Trailers {
                headers.insert(header::TRAILER, HeaderValue::from_static("merit-cost, merit-billed-ms"));
            }
            Body::new(streamed(answer.body, rest, end))
        }
    };
    if !headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    }
    // Answers share the page's origin, and must not act on it.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    write_receipt(&mut headers, &receipt);
    let mut response = Response::new(body);
    (*response.status_mut(), *response.headers_mut()) = (answer.status, headers);
    response
}

/// What the caller is told of its call.
pub(super) fn write_receipt(headers: &mut HeaderMap, receipt: &Receipt) {
    let mut insert = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let grant = &receipt.grant;
    insert("merit-invocation-id", receipt.invocation.to_string());
    insert("merit-provider", grant.provider.clone());
    insert("merit-market", grant.market.clone());
    insert("merit-revision", grant.revision.to_string());
    insert("merit-price", decimal(grant.price));
    insert("merit-quoted-cost", decimal(grant.quoted_cost));
    insert("merit-attempts", receipt.attempts.to_string());
    insert("merit-overhead-us", receipt.overhead.as_micros().to_string());
    if let Some(paid) = receipt.paid {
        insert("merit-cost", decimal(paid.cost));
        insert("merit-billed-ms", paid.billed_ms.to_string());
    }
}

/// The function's own failure: it ran, and is charged.
fn function_error(receipt: &Receipt, outcome: Outcome, message: Option<String>) -> ApiError {
    let said = message.map(|message| format!(": {message}")).unwrap_or_default();
    let error = match outcome {
        Outcome::Timeout => {
            let ms = receipt.grant.timeout_ms;
            let message = format!("the function did not end within {ms} ms; what ran is charged");
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message).with(json!({"reason": "function"}))
        }
        outcome => {
            let message = format!("the function failed ({outcome}); what ran is charged{said}");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "function_failed", message)
                .with(json!({"reason": outcome.as_str()}))
        }
    };
    error.about(receipt.invocation)
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case("trailers"))
}

/// Why a body ends before its end: the connection is broken off, so that nobody takes it for whole.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(super) struct BrokenOff;

/// A body that streams. Its end waits for the settlement: where its length is known, the last part; else only its end.
fn streamed(
    first: Bytes,
    rest: Rest,
    end: StreamEnd,
) -> StreamBody<impl Stream<Item = Result<Frame<Bytes>, BrokenOff>>> {
    let streaming = Streaming { held: Some(first), parts: rest.parts, end, over: false };
    StreamBody::new(stream::unfold(
        streaming,
        |mut streaming| async move { Some((streaming.next().await?, streaming)) },
    ))
}

/// How the end of a body that streams is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamEnd {
    /// By its length: the last part is held back.
    Length,
    /// By the last, empty chunk.
    LastChunk,
    /// By trailers that say what it cost.
    Trailers,
}

struct Streaming {
    /// A part that came and was not passed on yet.
    held: Option<Bytes>,
    parts: mpsc::Receiver<Part>,
    end: StreamEnd,
    over: bool,
}

impl Streaming {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, BrokenOff>> {
        while !self.over {
            if self.end != StreamEnd::Length
                && let Some(part) = self.take_held()
            {
                return Some(Ok(part));
            }
            match self.parts.recv().await {
                Some(Part::Bytes(bytes)) => {
                    let before = self.take_held();
                    self.held = Some(bytes);
                    if let Some(before) = before {
                        return Some(Ok(before));
                    }
                }
                Some(Part::Settled(paid)) => {
                    self.over = true;
                    let held = self.take_held();
                    let trailers = || (self.end == StreamEnd::Trailers).then(|| Frame::trailers(of_payment(paid)));
                    return held.or_else(trailers).map(Ok);
                }
                Some(Part::Broken) | None => {
                    self.over = true;
                    return Some(Err(BrokenOff));
                }
            }
        }
        None
    }

    fn take_held(&mut self) -> Option<Frame<Bytes>> {
        self.held.take().filter(|held| !held.is_empty()).map(Frame::data)
    }
}

fn of_payment(paid: Paid) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if let Ok(cost) = HeaderValue::from_str(&decimal(paid.cost)) {
        trailers.insert("merit-cost", cost);
    }
    trailers.insert("merit-billed-ms", HeaderValue::from(paid.billed_ms));
    trailers
}

/// What a door does with a request, from its parts to its answer.
pub(super) async fn pass(
    broker: &Arc<Broker>,
    caller: &Caller,
    ask: Ask,
    parts: &Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let admitted = admit(broker, caller, parts).await?;
    pass_admitted(broker, admitted, caller, ask, parts, body).await
}

/// The same, of a call that was admitted.
pub(super) async fn pass_admitted(
    broker: &Arc<Broker>,
    admitted: Admitted,
    caller: &Caller,
    ask: Ask,
    parts: &Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let reading = Payload::read(body, ask.payload_max_bytes, Room::new(&broker.buffers, parts));
    let payload = admitted.in_time(reading).await?;
    let answered = crate::invocation::run::invoke(broker, invocation(admitted, caller, ask, parts, payload)).await?;
    Ok(respond(answered, &parts.headers))
}
