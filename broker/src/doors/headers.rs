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

/// Headers by which an answer acts on more than itself: on the origin that all functions share with the page and the
/// market's other doors, on its host, or on where the browser goes next. [`of_function`] takes them out, with
/// those of [`ON_THE_ORIGIN_FAMILIES`]. The list is explained in `docs/functions.md`.
static ON_THE_ORIGIN: [HeaderName; 24] = [
    // State that later requests bring along, or that is wiped.
    header::SET_COOKIE,
    HeaderName::from_static("set-cookie2"),
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("set-login"),
    HeaderName::from_static("sec-session-registration"),
    HeaderName::from_static("secure-session-registration"),
    HeaderName::from_static("service-worker-allowed"),
    HeaderName::from_static("use-as-dictionary"),
    // How browsers reach the host, and which certificates they take.
    header::ALT_SVC,
    header::STRICT_TRANSPORT_SECURITY,
    header::PUBLIC_KEY_PINS,
    header::PUBLIC_KEY_PINS_REPORT_ONLY,
    HeaderName::from_static("expect-ct"),
    // What browsers report of the origin, and to whom.
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("reporting-endpoints"),
    HeaderName::from_static("sourcemap"),
    HeaderName::from_static("x-sourcemap"),
    // How the origin is isolated, and who may look into it.
    HeaderName::from_static("origin-agent-cluster"),
    HeaderName::from_static("timing-allow-origin"),
    // What browsers send to the origin, or load and show for it, from now on.
    HeaderName::from_static("accept-ch"),
    HeaderName::from_static("critical-ch"),
    header::REFRESH,
    HeaderName::from_static("speculation-rules"),
];
/// Beginnings of the names of further such headers.
const ON_THE_ORIGIN_FAMILIES: [&str; 3] =
    ["access-control-", "attribution-reporting-register-", "content-security-policy"];

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
    let acting: Vec<HeaderName> = headers.keys().filter(|name| acts_on_the_origin(name)).cloned().collect();
    acting.iter().for_each(|name| drop(headers.remove(name)));
    headers
}

fn acts_on_the_origin(name: &HeaderName) -> bool {
    ON_THE_ORIGIN.contains(name) || ON_THE_ORIGIN_FAMILIES.iter().any(|family| name.as_str().starts_with(family))
}

fn without_page_cookies(value: &HeaderValue) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    let kept: Vec<&str> = text.split(';').map(str::trim).filter(|cookie| !cookie.starts_with(PAGE_COOKIE)).collect();
    HeaderValue::from_str(&kept.join("; ")).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
#[path = "../../tests/unit/doors/headers.rs"]
mod tests;
