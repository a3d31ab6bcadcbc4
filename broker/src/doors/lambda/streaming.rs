//! Answers of `InvokeWithResponseStream`: events in Amazon's encoding, completed once the call is settled.

use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderValue, header};
use serde_json::{Value, json};

use super::answer::{REQUEST_ID, function_error, log_tail};
use super::event_stream::{self, completed};
use crate::doors::answer::{BrokenOff, write_receipt};
use crate::invocation::Answered;
use crate::invocation::stream::{Part, Rest};

/// Returns the answer of a call that executed, as events.
pub(super) fn respond_streaming(answered: Answered, tail: bool) -> Response {
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

/// Returns the parts of an answer as events, and its completion once it is settled.
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
