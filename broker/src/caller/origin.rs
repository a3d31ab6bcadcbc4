//! The rules of keyless loopback against pages of other sites: the host is a loopback name, and a foreign page changes
//! nothing.

use std::net::IpAddr;

use axum::extract::Request;
use http::{HeaderMap, Method, Uri, header};

use crate::door_names::calls_by_link;
use crate::error::ApiError;

/// Returns the host of the request.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    uri.authority().map(|authority| authority.to_string()).or_else(|| text(headers, header::HOST))
}

/// Refuses a host that is not this machine, and a change or a call by a page of another site.
pub(super) fn check(request: &Request) -> Result<(), ApiError> {
    let host = host(request.uri(), request.headers());
    let is_foreign = request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    // A picture or a link of a foreign page would run a function, which costs money.
    if is_foreign && calls_by_link(request.uri().path()) {
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

/// Returns true if `host`, perhaps with a port, names this machine.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
#[path = "../../tests/unit/caller/origin.rs"]
mod tests;
