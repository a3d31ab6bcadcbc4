//! AWS Lambda's door: the SDKs and the CLI with only an endpoint and keys set.
//!
//! Source: the Lambda API model of 2015-03-31, and what boto3, the CLI and the JavaScript SDK send and parse.

mod errors;
mod event_stream;
mod functions;
mod names;
mod retries;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use merit_terms::{Execution, Outcome};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::invocations::ask_quote;
use super::call::{Ask, BrokenOff, admit, admit_again, invocation, write_receipt};
use crate::PAYLOAD_MAX_BYTES;
use crate::caller::Caller;
use crate::doors::request::{Path, Query};
use crate::error::ApiError;
use crate::invocation::preferences::Preferences;
use crate::invocation::run::{Answered, Invocation, Part, Rest, WhenGone, invoke};
use crate::json::decimal;
use crate::metrics::Door;
use crate::provider::attempt::Wanted;
use crate::provider::payload::{Payload, Room};
use crate::server::State as Broker;

pub(super) use errors::respond as respond_error;
pub(crate) use functions::{configuration, get, list};
pub(crate) use retries::Retries;
use retries::{Begun, First, Key, Reply, answered};

/// The most bytes of a log that an answer carries.
const LOG_MAX_BYTES: usize = 4096;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const SDK_INVOCATION_ID: HeaderName = HeaderName::from_static("amz-sdk-invocation-id");
/// How long an answer that streams waits for a caller, if the one who asked is gone: an SDK comes again sooner.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// A longer one is none of an SDK's.
const SDK_INVOCATION_ID_MAX_BYTES: usize = 128;

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(rename = "Qualifier")]
    qualifier: Option<String>,
}

/// How an answer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Style {
    wanted: Wanted,
    /// With the end of the log.
    tail: bool,
}

/// How the function is to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sync,
    Event,
    DryRun,
}

/// `POST /2015-03-31/functions/{FunctionName}/invocations`.
pub(crate) async fn post(
    State(broker): State<Arc<Broker>>,
    caller: Result<Caller, ApiError>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Response {
    match call(&broker, caller, &name, asked.qualifier.as_deref(), Wanted::Whole, request).await {
        Ok(response) => response,
        Err(error) => errors::respond(error),
    }
}

/// `POST /2021-11-15/functions/{FunctionName}/response-streaming-invocations`.
pub(crate) async fn post_streaming(
    State(broker): State<Arc<Broker>>,
    caller: Result<Caller, ApiError>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
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
    let style = Style { wanted, tail: wants_tail(&parts.headers)? };
    let (function, asked) = names::function(name, qualifier)?;
    match kind {
        Kind::Event if wanted == Wanted::AsItComes => {
            return Err(ApiError::malformed("an answer that streams is RequestResponse or DryRun"));
        }
        Kind::Event => return Err(ApiError::not_implemented("async calls (X-Amz-Invocation-Type: Event)")),
        Kind::DryRun => return dry_run(broker, &caller, function.to_string(), asked, &parts.headers).await,
        Kind::Sync => {}
    }
    let sdk_id = parts.headers.get(SDK_INVOCATION_ID).filter(|id| id.len() <= SDK_INVOCATION_ID_MAX_BYTES);
    let key = |payload: &[u8]| {
        let asked = format!("{} {style:?}", qualifier.unwrap_or_default());
        sdk_id.map(|id| Key::of(&caller.account, name, &asked, id.as_bytes(), payload))
    };
    let id = key(&[]);
    // Before a payload of some megabytes is read. A retry of what ran is told what came of it, whatever the rate.
    let is_again = id.as_ref().is_some_and(|id| broker.lambda_retries.knows(id, Instant::now()));
    let admitted = match is_again {
        true => admit_again(&caller, &parts)?,
        false => admit(broker, &caller, &parts).await?,
    };
    let whole = Payload::read_whole(body, PAYLOAD_MAX_BYTES, Room::new(&broker.buffers, &parts));
    let payload = admitted.in_time(whole).await?;
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
    let invocation = invocation(admitted, &caller, ask, &parts, Payload::Whole(payload));
    let Some((key, id)) = keys else {
        return Ok(respond(invoke(broker, invocation).await, style));
    };
    let answer = match broker.lambda_retries.begin(key, id, Instant::now()) {
        Begun::Again(answer) => {
            drop(invocation); // Nothing is held while it waits.
            answer
        }
        Begun::First(first, answer) => {
            // Another call that took a known one's id.
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

async fn run_first(broker: Arc<Broker>, invocation: Invocation, style: Style, first: First) {
    let told = invoke(&broker, invocation).await;
    let keep = told.as_ref().map_or_else(|error| error.execution != Execution::NotSent, |_| true);
    let streams = told.as_ref().is_ok_and(|answered| answered.rest.is_some());
    let (Parts { status, headers, .. }, body) = respond(told, style).into_parts();
    let reply = if streams {
        // Whoever is there gets it; who comes later hears that it ran.
        Reply { status, headers, body: passed_on(), streams: Mutex::new(Some(body)) }
    } else {
        // It is whole already.
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        Reply { status, headers, body, streams: Mutex::default() }
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

/// What comes of a call, as its door tells it.
fn respond(told: Result<Answered, ApiError>, style: Style) -> Response {
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

/// What an SDK hears that tries a call again whose answer was passed on as it came: it is not run again.
fn passed_on() -> Bytes {
    let message = "the call ran, and its answer was passed on as it came to an earlier try of it";
    completed(json!({"ErrorCode": "Merit.AnswerPassedOn", "ErrorDetails": message}))
}

/// The event that ends an answer.
fn completed(how: Value) -> Bytes {
    event_stream::event("InvokeComplete", "application/json", how.to_string().as_bytes())
}

fn again(reply: &Reply) -> Response {
    let mut response = Response::new(reply.take_stream().unwrap_or_else(|| Body::from(reply.body.clone())));
    (*response.status_mut(), *response.headers_mut()) = (reply.status, reply.headers.clone());
    response
}

fn kind(headers: &HeaderMap) -> Result<Kind, ApiError> {
    if headers.contains_key("x-amz-durable-execution-name") {
        return Err(ApiError::malformed("durable executions are not taken; leave DurableExecutionName out"));
    }
    match headers.get("x-amz-invocation-type").map(HeaderValue::as_bytes) {
        None | Some(b"RequestResponse") => Ok(Kind::Sync),
        Some(b"Event") => Ok(Kind::Event),
        Some(b"DryRun") => Ok(Kind::DryRun),
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

/// What the call would cost and where it would run, without running it.
async fn dry_run(
    broker: &Broker,
    caller: &Caller,
    function: String,
    qualifier: Option<merit_proto::v1::Qualifier>,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    caller.must_call()?;
    let preferences = Preferences::read(headers, std::time::SystemTime::now())?;
    let quoted = ask_quote(broker, caller, function, qualifier, &preferences).await?;
    let Some(best) = quoted.offers.first() else {
        let message = "no offer is eligible for this call";
        let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "no_eligible_provider", message);
        return Err(error.with(json!({"refused": crate::json::refused_offers(&quoted)})));
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let told = [
        ("merit-provider", best.provider.clone()),
        ("merit-market", best.market.clone()),
        ("merit-price", decimal(best.price)),
        ("merit-quoted-cost", decimal(best.predicted_cost)),
        ("merit-revision", quoted.revision.to_string()),
        ("x-amz-executed-version", quoted.revision.to_string()),
    ];
    for (name, value) in told {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// The answer of a call that executed, the function's own failures among them.
fn respond_whole(answered: Answered, tail: bool) -> Response {
    let log = tail.then(|| log_tail(&answered));
    let Answered { receipt, outcome, answer, .. } = answered;
    let mut headers = HeaderMap::new();
    let content_type = answer.headers.get(header::CONTENT_TYPE).cloned();
    headers.insert(header::CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("application/json")));
    headers.insert("x-amz-executed-version", HeaderValue::from(receipt.grant.revision));
    if let Ok(id) = HeaderValue::from_str(&receipt.invocation.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    write_receipt(&mut headers, &receipt);
    if let Some(log) = log.and_then(|log| HeaderValue::from_str(&STANDARD.encode(log)).ok()) {
        headers.insert("x-amz-log-result", log);
    }
    let message = answer.report.and_then(|report| report.message);
    let failed = function_error(outcome, answer.status, &answer.body, message, receipt.grant.timeout_ms);
    let body = match failed {
        None => answer.body,
        Some((kind, body)) => {
            headers.insert(FUNCTION_ERROR, HeaderValue::from_static(kind));
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            body
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.headers_mut() = headers;
    response
}

/// How a function failed, as Lambda says it: `Handled` where the function says itself what went wrong.
fn function_error(
    outcome: Outcome,
    status: StatusCode,
    body: &Bytes,
    message: Option<String>,
    timeout_ms: u32,
) -> Option<(&'static str, Bytes)> {
    let is_error = status.is_client_error() || status.is_server_error();
    if outcome == Outcome::Ok && !is_error {
        return None;
    }
    let says_itself = matches!(outcome, Outcome::Ok | Outcome::Exit)
        && serde_json::from_slice::<Value>(body).is_ok_and(|body| body.get("errorMessage").is_some());
    if says_itself {
        return Some(("Handled", body.clone()));
    }
    let (kind, text) = match outcome {
        Outcome::Ok => (format!("Http.{}", status.as_u16()), String::from_utf8_lossy(body).into_owned()),
        Outcome::Exit => ("Runtime.ExitError".to_owned(), message.unwrap_or_default()),
        Outcome::Trap => ("Runtime.Trap".to_owned(), message.unwrap_or_default()),
        Outcome::OutOfMemory => ("Runtime.OutOfMemory".to_owned(), "the function ran out of memory".to_owned()),
        Outcome::Timeout => (
            "Sandbox.Timedout".to_owned(),
            format!("Task timed out after {:.2} seconds", f64::from(timeout_ms) / 1000.0),
        ),
        Outcome::OutputLimit => {
            ("Function.ResponseSizeTooLarge".to_owned(), "the answer is larger than it may be".to_owned())
        }
    };
    let body = json!({"errorMessage": text, "errorType": kind}).to_string();
    Some(("Unhandled", Bytes::from(body)))
}

/// The end of the log between the lines that Lambda puts around it.
fn log_tail(answered: &Answered) -> Vec<u8> {
    let (id, grant) = (answered.receipt.invocation, &answered.receipt.grant);
    let report = answered.answer.report.as_ref();
    let usage = report.and_then(|report| report.reading);
    let duration_ms = usage.map_or(0.0, |reading| reading.usage.wall_us as f64 / 1000.0);
    let billed_ms = answered.receipt.paid.map_or(0, |paid| paid.billed_ms);
    let used_mb = usage.map_or(grant.memory_mb, |reading| reading.peak_memory_mb);
    let mut log = format!("START RequestId: {id} Version: {}\n", grant.revision).into_bytes();
    if let Some(report) = report {
        log.extend_from_slice(&report.log);
        if report.log.last().is_some_and(|last| *last != b'\n') {
            log.push(b'\n');
        }
    }
    let end = format!(
        "END RequestId: {id}\nREPORT RequestId: {id}\tDuration: {duration_ms:.2} ms\tBilled Duration: {billed_ms} ms\t\
         Memory Size: {} MB\tMax Memory Used: {used_mb} MB\n",
        grant.memory_mb
    );
    log.extend_from_slice(end.as_bytes());
    log.split_off(log.len().saturating_sub(LOG_MAX_BYTES))
}

fn respond_streaming(answered: Answered, tail: bool) -> Response {
    let receipt = answered.receipt.clone();
    let log = tail.then(|| STANDARD.encode(log_tail(&answered)));
    let Answered { outcome, answer, rest, .. } = answered;
    let content_type = answer.headers.get(header::CONTENT_TYPE).cloned();
    let message = answer.report.and_then(|report| report.message);
    let failed = match rest {
        Some(_) => None,
        None => function_error(outcome, answer.status, &answer.body, message, receipt.grant.timeout_ms),
    };
    let complete = match failed {
        None => json!({"LogResult": log}),
        Some((_, body)) => {
            let said: Value = serde_json::from_slice(&body).unwrap_or_default();
            json!({"ErrorCode": said["errorType"], "ErrorDetails": said["errorMessage"], "LogResult": log})
        }
    };
    let events = events(answer.body, rest, complete);
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(event_stream::CONTENT_TYPE));
    headers.insert("x-amz-executed-version", HeaderValue::from(receipt.grant.revision));
    if let Some(content_type) = content_type {
        headers.insert("x-amzn-remapped-content-type", content_type);
    }
    if let Ok(id) = HeaderValue::from_str(&receipt.invocation.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    write_receipt(headers, &receipt);
    response
}

/// The parts of an answer as events, and its completion once it is settled.
fn events(first: Bytes, rest: Option<Rest>, complete: Value) -> impl Stream<Item = Result<Bytes, BrokenOff>> {
    let chunk = |bytes: &Bytes| event_stream::event("PayloadChunk", "application/octet-stream", bytes);
    let state = (Some(first), rest.map(|rest| rest.parts), Some(complete));
    stream::unfold(state, move |(first, mut parts, mut complete)| async move {
        if let Some(first) = first.filter(|first| !first.is_empty()) {
            return Some((Ok(chunk(&first)), (None, parts, complete)));
        }
        if let Some(receiver) = &mut parts {
            match receiver.recv().await {
                Some(Part::Bytes(bytes)) => return Some((Ok(chunk(&bytes)), (None, parts, complete))),
                Some(Part::Settled(_)) => parts = None,
                Some(Part::Broken) | None => return complete.take().map(|_| (Err(BrokenOff), (None, None, None))),
            }
        }
        Some((Ok(completed(complete.take()?)), (None, parts, None)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(outcome: Outcome, status: u16, body: &'static str) -> Option<(&'static str, String)> {
        let status = StatusCode::from_u16(status).unwrap();
        let failed = function_error(outcome, status, &Bytes::from_static(body.as_bytes()), Some("code 3".into()), 3000);
        failed.map(|(kind, body)| (kind, String::from_utf8(body.to_vec()).unwrap()))
    }

    #[test]
    fn a_function_s_failure_is_told_as_lambda_tells_it() {
        assert_eq!(failed(Outcome::Ok, 200, "out"), None);
        let own = r#"{"errorMessage":"no","errorType":"Mine"}"#;
        assert_eq!(failed(Outcome::Exit, 200, own), Some(("Handled", own.to_owned())));
        assert_eq!(failed(Outcome::Ok, 500, own), Some(("Handled", own.to_owned())));
        let unhandled = |outcome, status| failed(outcome, status, "out").unwrap();
        assert!(unhandled(Outcome::Exit, 200).1.contains("code 3"));
        assert!(unhandled(Outcome::Timeout, 200).1.contains("Task timed out after 3.00 seconds"));
        assert_eq!(unhandled(Outcome::Ok, 404).1, r#"{"errorMessage":"out","errorType":"Http.404"}"#);
        assert_eq!(unhandled(Outcome::Trap, 200).0, "Unhandled");
    }
}
