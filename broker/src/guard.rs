//! Who may call: the rules of keyless loopback, in which a call without credentials is `dev` with all roles.
//!
//! A page of another site must not reach the broker through a visitor's browser: the host must be a loopback name, and
//! a state-changing request with a foreign origin is refused. Presented credentials are checked, never ignored.

use std::net::IpAddr;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, header};

use crate::error::ApiError;

/// The account of a call without credentials.
pub(crate) const DEV: &str = "dev";

pub(crate) async fn keyless_loopback(request: Request, next: Next) -> Result<Response, ApiError> {
    let host = request.uri().host().map(str::to_owned).or_else(|| text(request.headers(), header::HOST));
    check(request.method(), request.headers(), host.as_deref())?;
    Ok(next.run(request).await)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn check(method: &Method, headers: &HeaderMap, host: Option<&str>) -> Result<(), ApiError> {
    let host = host.ok_or_else(|| ApiError::malformed("the request has no Host"))?;
    if !is_loopback(host) {
        let message = format!("the host `{host}` is not a loopback name; without keys only this machine is served");
        return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    if headers.contains_key(header::AUTHORIZATION) || headers.contains_key("merit-key") {
        let message = "these credentials are not known: this broker has no keys; leave Authorization and Merit-Key out";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message));
    }
    let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match text(headers, header::ORIGIN) {
        Some(origin) if !safe && !is_own(&origin, host) => {
            let message = format!("a page of `{origin}` may not change anything here");
            Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", message))
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
            check(&method, &headers, Some("127.0.0.1:8080")).is_ok()
        };
        assert!(!check(Method::POST, "https://evil.example"));
        assert!(!check(Method::POST, "null"));
        assert!(!check(Method::PUT, "http://127.0.0.1:9999"));
        assert!(check(Method::POST, "http://127.0.0.1:8080"));
        assert!(check(Method::GET, "https://evil.example"));
    }

    #[test]
    fn presented_credentials_are_refused_where_there_are_no_keys() {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, "Bearer a.b".parse().unwrap())]);
        let refused = check(&Method::GET, &headers, Some("localhost")).unwrap_err();
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
}
