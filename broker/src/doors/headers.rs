//! Which headers pass: of a caller to the function, and of the function to the caller.
//!
//! Never passes on what Merit consumed, what concerns one connection, or what another claims in Merit's name.

use std::net::SocketAddr;

use axum::http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use merit_adapters::forwarded_request_headers;

use crate::caller::Consumed;

/// Beside `x-forwarded-*`: what asks Merit, or claims where the call came from.
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

/// What would act on the page's origin, which answers share.
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

/// The page's own cookies begin so.
const PAGE_COOKIE: &str = "merit_";

/// The caller's headers that the function may see, and where the call came from.
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

/// What of a function's headers the caller may see: the adapter has taken out what no function may say.
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
mod tests {
    use super::*;

    fn passed(consumed: bool, headers: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut request = http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        parts.extensions.insert(Consumed(consumed));
        let mut names: Vec<String> = of_caller(&parts).keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn the_application_s_own_headers_pass() {
        let own = [("accept", "a"), ("authorization", "Bearer app"), ("traceparent", "t"), ("x-own", "v")];
        assert_eq!(passed(false, &own), ["accept", "authorization", "traceparent", "x-own"]);
        assert_eq!(passed(true, &own), ["accept", "traceparent", "x-own"], "what Merit consumed is gone");
    }

    #[test]
    fn what_is_forged_or_of_the_connection_does_not() {
        let forged = [
            ("merit-cost", "0"),
            ("merit-lease", "x"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("proxy-authorization", "x"),
            ("connection", "x-own, close"),
            ("x-own", "v"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("x-amz-date", "d"),
            ("amz-sdk-invocation-id", "i"),
        ];
        assert!(passed(false, &forged).is_empty());
    }

    #[test]
    fn cookies_of_the_page_are_left_out() {
        let cookie = |text: &'static str| without_page_cookies(&HeaderValue::from_static(text));
        assert_eq!(cookie("a=1; merit_session=s; b=2").unwrap(), "a=1; b=2");
        assert_eq!(cookie("merit_session=s"), None);
    }

    #[test]
    fn a_function_does_not_act_on_the_origin() {
        let names = ["set-cookie", "content-security-policy", "clear-site-data", "x-own", "etag"];
        let headers = names.iter().map(|name| (name.parse().unwrap(), HeaderValue::from_static("v"))).collect();
        let mut passed: Vec<String> = of_function(headers).keys().map(ToString::to_string).collect();
        passed.sort();
        assert_eq!(passed, ["etag", "x-own"]);
    }
}
