//! The endpoint of a provider, as a logon states it.
//!
//! It never resolves a name or opens a connection.

use merit_proto::v1;
use tonic::Status;

/// Size limit of an endpoint in bytes.
const ENDPOINT_MAX_BYTES: usize = 512;

/// Checks an endpoint: the beginning of a URL. Without keys anybody may log on, so calls are sent to this machine only,
/// by plain HTTP; with keys the broker judges the address that a name stands for.
pub(super) fn check_endpoint(endpoint: &str, keyless: bool, adapter: v1::Adapter) -> Result<(), Status> {
    let refused = |what: &str| Err(Status::invalid_argument(format!("endpoint: `{endpoint}` {what}")));
    let Ok(uri) = endpoint.parse::<tonic::codegen::http::Uri>() else { return refused("is not a URL") };
    let scheme = uri.scheme_str().unwrap_or_default();
    let host = uri.host().unwrap_or_default();
    let bare = uri.query().is_none() && !endpoint.contains(['#', '@']) && !host.is_empty();
    if !bare || !matches!(scheme, "http" | "https") || endpoint.len() > ENDPOINT_MAX_BYTES {
        return refused("is not a URL such as http://127.0.0.1:9000, without a user, a query or a fragment");
    }
    if let Some(Err(error)) = uri.authority().map(|authority| merit_terms::port_of(authority.as_str())) {
        return refused(&format!("cannot be called: {error}"));
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if !keyless && merit_terms::Adapter::from(adapter).takes_tokens() && scheme == "http" && !loopback {
        return refused("is an agent's off this machine: tokens and payloads go to it by https:// only");
    }
    if !keyless {
        return Ok(());
    }
    if loopback && scheme == "http" {
        Ok(())
    } else {
        refused("is not a plain URL of a loopback address; without keys only this machine is called")
    }
}

#[cfg(test)]
#[path = "../../../tests/unit/services/endpoint.rs"]
mod tests;
