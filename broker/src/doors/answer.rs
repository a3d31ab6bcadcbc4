//! A function's answer over HTTP, with the receipt in its headers or, for one that streams, in its trailers.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use merit_adapters::Report;
use merit_terms::Outcome;
use serde_json::json;
use tokio::sync::mpsc;

use super::headers;
use crate::error::{ApiError, ErrorCode};
use crate::exchange::leases::lease::Paid;
use crate::invocation::stream::{Part, Rest};
use crate::invocation::{Answered, Receipt};
use crate::json::decimal;

/// The end of the function's log in base64, for a caller who asks for it.
const LOG_RESULT: HeaderName = HeaderName::from_static("merit-log-result");

/// Returns the function's own answer with the receipt in its headers, or the error of its failure.
pub(super) fn respond(answered: Answered, asked: &HeaderMap) -> Response {
    let Answered { receipt, outcome, answer, rest } = answered;
    if outcome != Outcome::Ok {
        let mut response = function_error(&receipt, outcome, answer.report).into_response();
        write_receipt(response.headers_mut(), &receipt);
        return response;
    }
    let mut headers = headers::of_function(answer.headers);
    write_log(&mut headers, &receipt, answer.report.as_ref());
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
    // Answers share the page's origin and must not act on it.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    write_receipt(&mut headers, &receipt);
    let mut response = Response::new(body);
    (*response.status_mut(), *response.headers_mut()) = (answer.status, headers);
    response
}

/// Writes the receipt into the headers of an answer.
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

/// Writes the end of the log, if the caller asks for it and there is one.
pub(super) fn write_log(headers: &mut HeaderMap, receipt: &Receipt, report: Option<&Report>) {
    let asked = report.filter(|report| receipt.with_log && !report.log.is_empty());
    if let Some(log) = asked.and_then(|report| HeaderValue::from_str(&STANDARD.encode(&report.log)).ok()) {
        headers.insert(LOG_RESULT, log);
    }
}

/// Returns the error of a function that failed: it ran, and is charged. Tells the end of its log.
fn function_error(receipt: &Receipt, outcome: Outcome, report: Option<Report>) -> ApiError {
    let (message, log) = report.map(|report| (report.message, report.log)).unwrap_or_default();
    let said = message.map(|message| format!(": {message}")).unwrap_or_default();
    let details = |reason: &str| {
        let mut details = json!({"reason": reason});
        if !log.is_empty() {
            details["log"] = json!(String::from_utf8_lossy(&log));
        }
        details
    };
    let error = match outcome {
        Outcome::Timeout => {
            let ms = receipt.grant.timeout_ms;
            let message = format!("the function did not end within {ms} ms; what ran is charged");
            ApiError::new(ErrorCode::Timeout, message).with(details("function"))
        }
        outcome => {
            let message = format!("the function failed ({outcome}); what ran is charged{said}");
            ApiError::new(ErrorCode::FunctionFailed, message).with(details(outcome.as_str()))
        }
    };
    error.about(receipt.invocation)
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case("trailers"))
}

/// The error that breaks a body and its connection off, so that nobody takes the answer for whole.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(super) struct BrokenOff;

/// Returns a body that streams. Its end waits for the settlement: the last part where the length is known, else the
/// end.
fn streamed(
    first: Bytes,
    rest: Rest,
    end: StreamEnd,
) -> StreamBody<impl Stream<Item = Result<Frame<Bytes>, BrokenOff>>> {
    let streaming = StreamingBody { held: Some(first), parts: rest.parts, end, over: false };
    StreamBody::new(stream::unfold(
        streaming,
        |mut streaming| async move { Some((streaming.next().await?, streaming)) },
    ))
}

/// The way in which a client sees the end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamEnd {
    /// By its length: the last part is held back until the settlement.
    Length,
    /// By the last, empty chunk.
    LastChunk,
    /// By trailers that tell the cost.
    Trailers,
}

struct StreamingBody {
    /// A part that came and is not passed on yet.
    held: Option<Bytes>,
    parts: mpsc::Receiver<Part>,
    end: StreamEnd,
    over: bool,
}

impl StreamingBody {
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
