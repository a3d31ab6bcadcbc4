//! Headers that pass, from a caller to the function and from the function to the caller.
//!
//! Credentials that Merit consumed, headers of one connection, and claims in Merit's name never pass.

use std::net::SocketAddr;

use axum::http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use merit_adapters::forwarded_request_headers;

use crate::caller::Consumed;

/// Headers that ask Merit or claim the origin of the call, beside `x-forwarded-*`.
const FOR_MERIT: [HeaderName; 9] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("x-amz-content-sha256"),
    HeaderName::from_static("x-amz-invocation-type"),
    HeaderName::from_static("x-amz-log-type"),
    HeaderName::from_static("amz-sdk-invocation-id"),
    HeaderName::from_static("amz-sdk-request"),
];

/// Headers that would act on the page's origin, which answers share.
const ON_THE_ORIGIN: [HeaderName; 8] = [
    header::SET_COOKIE,
    header::CONTENT_SECURITY_POLICY,
    header::STRICT_TRANSPORT_SECURITY,
    header::ALT_SVC,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("service-worker-allowed"),
    HeaderName::from_static("reporting-endpoints"),
    HeaderName::from_static("nel"),
];

/// Prefix of the page's own cookies.
const PAGE_COOKIE: &str = "merit_";

/// Returns the caller's headers that the function may see, with the origin of the call.
pub(super) fn of_caller(parts: &Parts) -> HeaderMap {
    let mut passed = forwarded_request_headers(&parts.headers);
    FOR_MERIT.iter().for_each(|name| drop(passed.remove(name)));
    let forged: Vec<HeaderName> =
        passed.keys().filter(|name| name.as_str().starts_with("x-forwarded-")).cloned().collect();
    forged.iter().for_each(|name| drop(passed.remove(name)));
    if parts.extensions.get::<Consumed>().is_some_and(|consumed| consumed.0) {
        passed.remove(header::AUTHORIZATION);
    }
    let cookies: Vec<HeaderValue> = passed.get_all(header::COOKIE).iter().filter_map(without_page_cookies).collect();
    passed.remove(header::COOKIE);
    for cookie in cookies {
        passed.append(header::COOKIE, cookie);
    }
    if let Some(peer) = parts.extensions.get::<SocketAddr>()
        && let Ok(peer) = HeaderValue::from_str(&peer.ip().to_string())
    {
        passed.insert(HeaderName::from_static("x-forwarded-for"), peer);
    }
    let authority = parts.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = authority.or_else(|| parts.headers.get(header::HOST).cloned()) {
        passed.insert(HeaderName::from_static("x-forwarded-host"), host);
    }
    passed
}

/// Returns the function's headers that the caller may see. The adapter has taken out those that no function may set.
pub(super) fn of_function(mut headers: HeaderMap) -> HeaderMap {
    ON_THE_ORIGIN.iter().for_each(|name| drop(headers.remove(name)));
    headers
}

fn without_page_cookies(value: &HeaderValue) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    let kept: Vec<&str> = text.split(';').map(str::trim).filter(|cookie| !cookie.starts_with(PAGE_COOKIE)).collect();
    HeaderValue::from_str(&kept.join("; ")).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
#[path = "../../tests/unit/doors/headers.rs"]
mod tests;
