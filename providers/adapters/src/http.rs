//! A plain function server at a URL: any HTTP server that answers a request. It knows nothing of Merit.
//!
//! A call goes to the deployment's target at the provider's endpoint; the caller's path only leads further down from
//! there. Every answer is the function's, whatever its status. Never sends a token.

mod target;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;
use http::{Method, Request, StatusCode};
use merit_terms::Outcome;

use crate::headers::forwarded_answer_headers;
use crate::{INVOCATION_ID, ProviderAnswer, ProviderCall, Report, RequestError, VIA};
pub use target::{TARGET_MAX_BYTES, TargetError, check_target};

/// Header of the time by which an answer is wanted, in UTC by RFC 3339.
pub const DEADLINE: HeaderName = HeaderName::from_static("merit-deadline");

/// Makes the request of the call with `body` as its payload. Its path always begins with the target's.
pub fn request<B>(call: &ProviderCall<'_>, body: B) -> Result<Request<B>, RequestError> {
    let url = target::url(call).map_err(|why| call.error(why, None))?;
    let mut request = Request::builder()
        .method(call.passed.map_or(Method::POST, |passed| passed.method.clone()))
        .uri(url)
        .body(body)
        .map_err(|source| call.error("its URL is unusable", Some(source)))?;
    let headers: &mut HeaderMap = request.headers_mut();
    headers.clone_from(call.headers);
    for (name, value) in [
        (INVOCATION_ID, Some(call.invocation.to_string())),
        (VIA, call.via.map(str::to_owned)),
        (DEADLINE, call.deadline.map(|deadline| deadline.to_string())),
    ] {
        let Some(value) = value else { continue };
        let value = HeaderValue::try_from(value).map_err(|bad| call.error("a header is unusable", Some(bad.into())))?;
        headers.insert(name, value);
    }
    Ok(request)
}

/// Reads the head of an answer. A function server never reports usage.
pub fn answer(head: &Parts) -> ProviderAnswer {
    let status = head.status;
    if !(200..600).contains(&status.as_u16()) {
        return ProviderAnswer::Unknown { fault: true, reason: format!("{} is no answer", status.as_u16()) };
    }
    ProviderAnswer::Executed {
        report: Report { outcome: Outcome::Ok, reading: None, message: None, log: Vec::new() },
        status,
        headers: forwarded_answer_headers(&head.headers),
    }
}

/// Returns true for a status by which a gateway says that it did not reach the function, or the function itself that it
/// cannot answer now: another place may do better.
pub fn is_gateway_error(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}
