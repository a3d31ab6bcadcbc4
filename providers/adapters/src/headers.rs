//! The headers that pass from a caller to a function, and from a function to its caller.
//!
//! Owns the rules of every door and every adapter: headers of one connection, of a body's framing, and Merit's own
//! never pass. Never knows credentials or cookies, which the broker takes out.

use std::collections::HashSet;

use http::header::{self, HeaderMap, HeaderName};

/// Headers of one connection (RFC 9110 section 7.6.1, and older practice), and of the framing of a body, which is
/// framed anew.
const OF_THE_CONNECTION: [HeaderName; 11] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    header::CONTENT_LENGTH,
];
/// Headers of a request that do not pass either: the host that the caller named, and its expectation.
const OF_THE_REQUEST: [HeaderName; 2] = [header::HOST, header::EXPECT];

/// Returns the headers of a caller that may pass to a function.
pub fn forwarded_request_headers(headers: &HeaderMap) -> HeaderMap {
    forwarded(headers, &OF_THE_REQUEST)
}

/// Returns the headers of a function that may pass to its caller. The broker takes out those that act on its origin.
pub fn forwarded_answer_headers(headers: &HeaderMap) -> HeaderMap {
    forwarded(headers, &[])
}

/// Returns true for Merit's own headers, of either direction.
pub fn is_merit_header(name: &HeaderName) -> bool {
    name.as_str().starts_with("merit-")
}

fn forwarded(headers: &HeaderMap, also_kept_back: &[HeaderName]) -> HeaderMap {
    let nominated = nominated(headers);
    let kept_back = |name: &HeaderName| {
        is_merit_header(name)
            || OF_THE_CONNECTION.contains(name)
            || also_kept_back.contains(name)
            || nominated.contains(name)
    };
    let mut passed = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| !kept_back(name)) {
        passed.append(name.clone(), value.clone());
    }
    passed
}

/// Returns the headers that a connection names as its own.
fn nominated(headers: &HeaderMap) -> HashSet<HeaderName> {
    let lists = headers.get_all(header::CONNECTION).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}
