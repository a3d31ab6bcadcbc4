//! Answers as Lambda's clients read them: whole, with the function's failure in a header.

use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use merit_terms::{LOG_MAX_BYTES, Outcome};
use serde_json::{Value, json};

use crate::doors::answer::{write_log, write_receipt};
use crate::invocation::Answered;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
pub(super) const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");

/// Returns the answer of a call that executed, also of a function that failed.
pub(super) fn respond_whole(answered: Answered, tail: bool) -> Response {
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
    write_log(&mut headers, &receipt, answer.report.as_ref());
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

/// Returns a function's failure as Lambda tells it: `Handled` where the function itself tells what went wrong.
pub(super) fn function_error(
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

/// Returns the end of the log between the lines that Lambda puts around it.
pub(super) fn log_tail(answered: &Answered) -> Vec<u8> {
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

#[cfg(test)]
#[path = "../../../tests/unit/doors/lambda/answer.rs"]
mod tests;
