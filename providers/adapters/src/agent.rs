//! The Merit agent's protocol: plain HTTP with a lease's token in, the function's output with a report out.
//!
//! Owns both directions: the broker makes requests and reads answers, the agent reads the token and writes its
//! refusals. An answer counts as executed or not sent only if it says so; any other, a gateway's included, is unknown.
//! The headers of an application travel beside Merit's own, in both directions. Never checks a token.

use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::response::Parts;
use http::{Method, Request, StatusCode};
use merit_terms::WARMING_MAX_S;

use crate::headers::forwarded_answer_headers;
use crate::report::{read_message, text, write_message};
use crate::{INVOCATION_ID, NotTaken, Passed, ProviderAnswer, ProviderCall, Report, RequestError, VIA};

/// Header of the lease's token, and of the exchange's proof of the lease.
pub const LEASE: HeaderName = HeaderName::from_static("merit-lease");
/// Header of a call that is passed through: `GET /path?query`.
const REQUEST: HeaderName = HeaderName::from_static("merit-request");
/// Header of the host that the caller named, in a call that is passed through.
const HOST: HeaderName = HeaderName::from_static("merit-host");
/// Header of the caller's address, in a call that is passed through.
const REMOTE: HeaderName = HeaderName::from_static("merit-remote-addr");
/// Header of the function's own status, if it gave one.
const STATUS: HeaderName = HeaderName::from_static("merit-status");
/// Separator of token and proof in [`LEASE`]; neither contains it.
const PROOF: &str = ";proof=";
const NOT_SENT: HeaderName = HeaderName::from_static("merit-not-sent");
/// Header of an answer that nothing was started: [`FULL`] or [`WARMING`].
const BUSY: HeaderName = HeaderName::from_static("merit-busy");
const FULL: &str = "full";
const WARMING: &str = "warming";

/// Maximum headers of a request or an answer between a broker and a provider: above what a broker takes from its
/// callers (128) and what a function may give (100 lines), with room for Merit's own. An answer of an agent
/// with more is its failure.
pub const HEADERS_MAX: usize = 256;
/// Maximum payload in bytes, at every door of a broker.
pub const PAYLOAD_MAX_BYTES: usize = 20 << 20;
/// Maximum output in bytes.
pub const OUTPUT_MAX_BYTES: usize = 6 << 20;

/// A call that is passed through, as an agent reads it from the head of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassedText<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub host: Option<&'a str>,
    pub remote: Option<IpAddr>,
}

/// A header [`REQUEST`] that is not a method, a path and a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Merit-Request must be a method, a path and a query, such as GET /path?query")]
pub struct MalformedRequest;

/// Makes the request that runs the call, with `body` as its payload.
pub fn request<B>(call: &ProviderCall<'_>, body: B) -> Result<Request<B>, RequestError> {
    let ProviderCall { account, function, revision, token, proof, .. } = call;
    let endpoint = call.endpoint.trim_end_matches('/');
    let error = |source| call.error("it is unusable", Some(source));
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("{endpoint}/invoke/{account}/{function}/{revision}"))
        .body(body)
        .map_err(error)?;
    let headers = request.headers_mut();
    headers.clone_from(call.headers);
    let lease = if proof.is_empty() { (*token).to_owned() } else { format!("{token}{PROOF}{proof}") };
    for (name, value) in [
        (LEASE, Some(lease)),
        (INVOCATION_ID, Some(call.invocation.to_string())),
        (REQUEST, call.passed.map(|passed| write_passed(&passed))),
        (VIA, call.via.map(str::to_owned)),
        (HOST, call.passed.and_then(|passed| passed.host).map(str::to_owned)),
        (REMOTE, call.passed.and_then(|passed| passed.remote).map(|remote| remote.to_string())),
    ] {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::try_from(value).map_err(|bad| error(bad.into()))?);
        }
    }
    Ok(request)
}

fn write_passed(Passed { method, path, query, .. }: &Passed<'_>) -> String {
    match query {
        Some(query) => format!("{method} {path}?{query}"),
        // A trailing space would be lost on the way.
        None if path.is_empty() => method.to_string(),
        None => format!("{method} {path}"),
    }
}

/// Reads a call that is passed through from the head of its request. Returns `Ok(None)` for a plain invocation.
pub fn passed(headers: &HeaderMap) -> Result<Option<PassedText<'_>>, MalformedRequest> {
    if !headers.contains_key(REQUEST) {
        return Ok(None);
    }
    let request = text(headers, &REQUEST).ok_or(MalformedRequest)?;
    let (method, target) = request.split_once(' ').unwrap_or((request, ""));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let is_method = Method::from_bytes(method.as_bytes()).is_ok();
    let is_path = path.is_empty() || path.starts_with('/');
    if !is_method || !is_path || target.contains([' ', '#']) {
        return Err(MalformedRequest);
    }
    let remote = text(headers, &REMOTE).and_then(|remote| remote.parse().ok());
    Ok(Some(PassedText { method, path, query, host: text(headers, &HOST), remote }))
}

/// Reads the token and the proof from the head of a request. The proof is empty if there is none.
pub fn lease(headers: &HeaderMap) -> Option<(&str, &str)> {
    let value = text(headers, &LEASE)?;
    Some(value.split_once(PROOF).unwrap_or((value, "")))
}

/// Reads the head of an answer.
pub fn answer(head: &Parts) -> ProviderAnswer {
    let Parts { status, headers, .. } = head;
    if *status == StatusCode::OK {
        return match Report::read(headers) {
            Some(report) => ProviderAnswer::Executed {
                report,
                status: read_status(headers).unwrap_or(StatusCode::OK),
                headers: forwarded_answer_headers(headers),
            },
            None => ProviderAnswer::Unknown { fault: true, reason: "the answer has no Merit-Outcome".to_owned() },
        };
    }
    let reason = || match read_message(headers) {
        Some(message) => format!("{status}: {message}"),
        None => status.to_string(),
    };
    let not_sent = |why| ProviderAnswer::NotSent { why, reason: reason() };
    match (*status, text(headers, &BUSY)) {
        (StatusCode::TOO_MANY_REQUESTS, Some(FULL)) => return not_sent(NotTaken::Full),
        (StatusCode::TOO_MANY_REQUESTS, Some(WARMING)) => {
            let stated = text(headers, &RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
            let why = NotTaken::Warming { retry_after_s: stated.unwrap_or(1).clamp(1, WARMING_MAX_S) };
            return ProviderAnswer::NotSent { why, reason: read_message(headers).unwrap_or_else(reason) };
        }
        _ => {}
    }
    let is_not_sent = text(headers, &NOT_SENT) == Some("1");
    match *status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => not_sent(NotTaken::Failed),
        // Malformed, too slow or too large; or a module that cannot be run.
        StatusCode::BAD_REQUEST
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY
            if is_not_sent =>
        {
            not_sent(NotTaken::Call)
        }
        _ if is_not_sent => not_sent(NotTaken::Failed),
        // A gateway before the provider throttles calls, which is no failure of the provider.
        StatusCode::TOO_MANY_REQUESTS => ProviderAnswer::Unknown { fault: false, reason: reason() },
        _ => ProviderAnswer::Unknown { fault: true, reason: reason() },
    }
}

/// Reads a function's status. Ignores one that is malformed or is no final status.
fn read_status(headers: &HeaderMap) -> Option<StatusCode> {
    let digits = text(headers, &STATUS).filter(|digits| digits.len() == 3)?;
    StatusCode::from_bytes(digits.as_bytes()).ok().filter(|status| (200..600).contains(&status.as_u16()))
}

/// Writes the function's own status.
pub fn write_status(headers: &mut HeaderMap, status: StatusCode) {
    headers.insert(STATUS, HeaderValue::from(status.as_u16()));
}

/// Writes that nothing was started, and the reason. The status of the answer must not be 200.
pub fn write_not_sent(headers: &mut HeaderMap, reason: &str) {
    headers.insert(NOT_SENT, HeaderValue::from_static("1"));
    write_message(headers, reason);
}

/// Writes that the provider is full, which is not its failure. The status of the answer must be 429.
pub fn write_full(headers: &mut HeaderMap, reason: &str) {
    headers.insert(BUSY, HeaderValue::from_static(FULL));
    write_not_sent(headers, reason);
}

/// Writes that the function's module is getting ready, for about so long. The status of the answer must be 429.
pub fn write_warming(headers: &mut HeaderMap, retry_after_s: u32, reason: &str) {
    headers.insert(BUSY, HeaderValue::from_static(WARMING));
    headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
    write_not_sent(headers, reason);
}
