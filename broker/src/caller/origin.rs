//! Where a request comes from and which host it asks for: the rules of keyless loopback against pages of other sites.

use std::net::IpAddr;

use axum::extract::Request;
use http::{HeaderMap, Method, Uri, header};

use crate::error::ApiError;

/// The host that was asked for.
pub(super) fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    uri.authority().map(|authority| authority.to_string()).or_else(|| text(headers, header::HOST))
}

/// Refuses a host that is not this machine, and a change by a page of another site.
pub(super) fn check(request: &Request) -> Result<(), ApiError> {
    let host = host(request.uri(), request.headers());
    let runs = ["/fn/", "/function/"].iter().any(|door| request.uri().path().starts_with(door));
    let is_foreign = request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if runs && is_foreign {
        // What a picture or a link asks for runs a function there, and is paid for.
        return Err(ApiError::forbidden("a page of another site may not call functions here"));
    }
    check_parts(request.method(), request.headers(), host.as_deref())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn check_parts(method: &Method, headers: &HeaderMap, host: Option<&str>) -> Result<(), ApiError> {
    let host = host.ok_or_else(|| ApiError::malformed("the request has no Host"))?;
    if !is_loopback(host) {
        let message = format!("the host `{host}` is not a loopback name; without keys only this machine is served");
        return Err(ApiError::forbidden(message));
    }
    let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match text(headers, header::ORIGIN) {
        Some(origin) if !safe && !is_own(&origin, host) => {
            Err(ApiError::forbidden(format!("a page of `{origin}` may not change anything here")))
        }
        _ => Ok(()),
    }
}

fn is_own(origin: &str, host: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

/// Whether `host`, perhaps with a port, names this machine.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_served() {
        for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "127.9.9.9"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["example.com", "127.0.0.1.example.com", "localhost.example.com:80", "10.0.0.1", "", "a b"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn a_foreign_page_changes_nothing() {
        let check = |method: Method, origin: &str| {
            let headers = HeaderMap::from_iter([(header::ORIGIN, origin.parse().unwrap())]);
            check_parts(&method, &headers, Some("127.0.0.1:8080")).is_ok()
        };
        assert!(!check(Method::POST, "https://evil.example"));
        assert!(!check(Method::POST, "null"));
        assert!(!check(Method::PUT, "http://127.0.0.1:9999"));
        assert!(check(Method::POST, "http://127.0.0.1:8080"));
        assert!(check(Method::GET, "https://evil.example"));
    }

    #[test]
    fn a_page_of_another_site_calls_no_function() {
        let check = |path: &str, site: &str| {
            let request = Request::builder().uri(path).header("host", "localhost").header("sec-fetch-site", site);
            check(&request.body(axum::body::Body::empty()).unwrap()).is_ok()
        };
        for door in ["/fn/f", "/fn/f/path", "/function/f", "/function/f/path"] {
            assert!(!check(door, "cross-site"), "{door}");
            assert!(check(door, "same-origin") && check(door, "none"), "{door}");
        }
        assert!(check("/v1/markets", "cross-site"), "a link to what only tells is no call");
    }
}
