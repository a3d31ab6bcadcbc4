//! AWS Lambda's door, for the SDKs and the CLI with only an endpoint and keys set.
//!
//! Source: the Lambda API model of 2015-03-31, and what boto3, the CLI and the JavaScript SDK send and parse.

mod answer;
mod dry_run;
mod event_stream;
pub(crate) mod functions;
mod names;
mod streaming;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use merit_terms::Execution;
use serde::Deserialize;
use serde_json::json;

use super::call::{Ask, check, check_again, invocation};
use super::error_shape::lambda as errors;
use super::request::{Path, Query};
use crate::broker::Broker;
use crate::caller::{Caller, holder};
use crate::door_names::Door;
use crate::error::ApiError;
use crate::invocation::repeats::{Begun, CallKey, FirstCall, KeptAnswer, answered};
use crate::invocation::{Invocation, Told, WhenGone};
use crate::limits::PAYLOAD_MAX_BYTES;
use crate::provider::call::Wanted;
use crate::provider::payload::Payload;
use crate::quota::bodies;
use answer::{FUNCTION_ERROR, respond_whole};
use dry_run::dry_run;
use event_stream::completed;
use streaming::respond_streaming;

const SDK_INVOCATION_ID: HeaderName = HeaderName::from_static("amz-sdk-invocation-id");
/// Time that a streamed answer waits for a repeat if its caller is gone: an SDK comes again sooner.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// Largest `amz-sdk-invocation-id`, in bytes; a longer one is not an SDK's.
const SDK_INVOCATION_ID_MAX_BYTES: usize = 128;

#[derive(Deserialize)]
pub(crate) struct QualifierQuery {
    #[serde(rename = "Qualifier")]
    qualifier: Option<String>,
}

/// The type of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InvocationType {
    Sync,
    Event,
    DryRun,
}

/// Handles `POST /2015-03-31/functions/{FunctionName}/invocations`.
pub(crate) async fn post(
    State(broker): State<Arc<Broker>>,
    caller: Result<Caller, ApiError>,
    Path(name): Path<String>,
    Query(asked): Query<QualifierQuery>,
    request: Request,
) -> Response {
    match call(&broker, caller, &name, asked.qualifier.as_deref(), Wanted::Whole, request).await {
        Ok(response) => response,
        Err(error) => errors::respond(error),
    }
}

/// Handles `POST /2021-11-15/functions/{FunctionName}/response-streaming-invocations`.
pub(crate) async fn post_streaming(
    State(broker): State<Arc<Broker>>,
    caller: Result<Caller, ApiError>,
    Path(name): Path<String>,
    Query(asked): Query<QualifierQuery>,
    request: Request,
) -> Response {
    match call(&broker, caller, &name, asked.qualifier.as_deref(), Wanted::AsItComes, request).await {
        Ok(response) => response,
        Err(error) => errors::respond(error),
    }
}

async fn call(
    broker: &Arc<Broker>,
    caller: Result<Caller, ApiError>,
    name: &str,
    qualifier: Option<&str>,
    wanted: Wanted,
    request: Request,
) -> Result<Response, ApiError> {
    let caller = caller?;
    caller.must_call()?;
    let (parts, body) = request.into_parts();
    let kind = kind(&parts.headers)?;
    let style = AnswerStyle { wanted, tail: wants_tail(&parts.headers)? };
    let (function, asked) = names::function(name, qualifier)?;
    match kind {
        InvocationType::Event if wanted == Wanted::AsItComes => {
            return Err(ApiError::malformed("an answer that streams is RequestResponse or DryRun"));
        }
        InvocationType::Event => return Err(ApiError::not_implemented("async calls (X-Amz-Invocation-Type: Event)")),
        InvocationType::DryRun => return dry_run(broker, &caller, function.to_string(), asked, &parts.headers).await,
        InvocationType::Sync => {}
    }
    let sdk_id = parts.headers.get(SDK_INVOCATION_ID).filter(|id| id.len() <= SDK_INVOCATION_ID_MAX_BYTES);
    let key = |payload: &[u8]| {
        let asked = format!("{} {style:?}", qualifier.unwrap_or_default());
        sdk_id.map(|id| CallKey::of(&caller.account, name, &asked, id.as_bytes(), payload))
    };
    let id = key(&[]);
    // Before a payload of some megabytes is read. A repeat of a call that ran gets its answer, whatever the rate.
    let is_again = id.as_ref().is_some_and(|id| broker.repeats.knows(id, Instant::now()));
    let checked = match is_again {
        true => check_again(&caller, &parts)?,
        false => check(broker, &caller, &parts).await?,
    };
    let whole = bodies::read(body, PAYLOAD_MAX_BYTES, bodies::Room::new(&broker.bodies, holder(&parts)));
    let payload = checked.in_time(whole).await?;
    let keys = key(&payload).zip(id);
    let ask = Ask {
        door: Door::Lambda,
        function,
        qualifier: asked,
        wanted,
        when_gone: WhenGone::GoOn,
        passed: None,
        payload_max_bytes: PAYLOAD_MAX_BYTES,
    };
    let invocation = invocation(checked, &caller, ask, &parts, Payload::Whole(payload));
    match keys {
        None => Ok(respond(broker.invocations.run(invocation).await, style)),
        Some(keys) => run_once(broker, &caller, invocation, style, keys, is_again).await,
    }
}

/// Runs a call, or joins the one that runs or ran under the same keys. `is_again` tells that it was not counted yet.
async fn run_once(
    broker: &Arc<Broker>,
    caller: &Caller,
    invocation: Invocation,
    style: AnswerStyle,
    (key, id): (CallKey, CallKey),
    is_again: bool,
) -> Result<Response, ApiError> {
    let answer = match broker.repeats.begin(key, id, Instant::now()) {
        Begun::Again(answer) => {
            drop(invocation); // Nothing is held while it waits.
            answer
        }
        Begun::First(first, answer) => {
            // A new call under the id of a known one.
            if is_again {
                broker.rates.count(&caller.account).await?;
            }
            // The call goes on when its caller is gone: the SDK comes again for its answer.
            broker.invocations.spawn(run_first(broker.clone(), invocation, style, first));
            answer
        }
    };
    match answered(answer).await {
        Some(reply) => Ok(again(&reply)),
        None => Err(ApiError::internal("the broker failed; its log says why")),
    }
}

async fn run_first(broker: Arc<Broker>, invocation: Invocation, style: AnswerStyle, first: FirstCall) {
    let told = broker.invocations.run(invocation).await;
    let keep = told.as_ref().map_or_else(|error| error.execution != Execution::NotSent, |_| true);
    let streams = told.as_ref().is_ok_and(|answered| answered.rest.is_some());
    let (Parts { status, headers, .. }, body) = respond(told, style).into_parts();
    let reply = if streams {
        // One caller gets the stream; a later repeat hears that the call ran.
        KeptAnswer { status, headers, body: passed_on(), streams: Mutex::new(Some(body)) }
    } else {
        // It is whole already.
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        KeptAnswer { status, headers, body, streams: Mutex::default() }
    };
    let reply = first.end(reply, keep, Instant::now());
    if streams {
        tokio::select! {
            () = tokio::time::sleep(TAKEN_WITHIN) => {}
            () = broker.stopping.cancelled() => {}
        }
        drop(reply.take_stream());
    }
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AnswerStyle {
    wanted: Wanted,
    /// Set for an answer with the end of the log.
    tail: bool,
}

/// Returns the answer of a call, or its error, in this form.
fn respond(told: Told, style: AnswerStyle) -> Response {
    match (told, style.wanted) {
        (Ok(answered), Wanted::Whole) => respond_whole(answered, style.tail),
        (Ok(answered), Wanted::AsItComes) => respond_streaming(answered, style.tail),
        (Err(error), Wanted::AsItComes) if error.execution != Execution::NotSent => {
            let (kind, message) = errors::failure(&error);
            let mut response = errors::respond(error);
            *response.body_mut() = Body::from(completed(json!({"ErrorCode": kind, "ErrorDetails": message})));
            let headers = response.headers_mut();
            headers.remove(FUNCTION_ERROR);
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(event_stream::CONTENT_TYPE));
            response
        }
        (Err(error), _) => errors::respond(error),
    }
}

/// Returns the answer for the repeat of a call whose answer was streamed before: it is not run again.
fn passed_on() -> Bytes {
    let message = "the call ran, and its answer was passed on as it came to an earlier try of it";
    completed(json!({"ErrorCode": "Merit.AnswerPassedOn", "ErrorDetails": message}))
}

fn again(reply: &KeptAnswer) -> Response {
    let mut response = Response::new(reply.take_stream().unwrap_or_else(|| Body::from(reply.body.clone())));
    (*response.status_mut(), *response.headers_mut()) = (reply.status, reply.headers.clone());
    response
}

fn kind(headers: &HeaderMap) -> Result<InvocationType, ApiError> {
    if headers.contains_key("x-amz-durable-execution-name") {
        return Err(ApiError::malformed("durable executions are not taken; leave DurableExecutionName out"));
    }
    match headers.get("x-amz-invocation-type").map(HeaderValue::as_bytes) {
        None | Some(b"RequestResponse") => Ok(InvocationType::Sync),
        Some(b"Event") => Ok(InvocationType::Event),
        Some(b"DryRun") => Ok(InvocationType::DryRun),
        Some(_) => Err(ApiError::malformed("X-Amz-Invocation-Type is RequestResponse, Event or DryRun")),
    }
}

fn wants_tail(headers: &HeaderMap) -> Result<bool, ApiError> {
    match headers.get("x-amz-log-type").map(HeaderValue::as_bytes) {
        None | Some(b"None") => Ok(false),
        Some(b"Tail") => Ok(true),
        Some(_) => Err(ApiError::malformed("X-Amz-Log-Type is None or Tail")),
    }
}
