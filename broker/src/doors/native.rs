//! The native door: calls by name, and calls that are passed through with method, path and query.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use http::header;
use serde::Deserialize;

use super::call::{Ask, check, pass, pass_checked};
use super::cloud_events;
use super::names::target;
use super::request::{Called, Path, Query};
use crate::broker::Broker;
use crate::caller::Caller;
use crate::door_names::Door;
use crate::error::ApiError;
use crate::invocation::WhenGone;
use crate::limits::{PAYLOAD_MAX_BYTES, STREAMED_MAX_BYTES};
use crate::provider::call::{PassedThrough, Wanted};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mode {
    mode: Option<String>,
}

/// Handles `POST /v1/functions/{name}/invocations`: the body is the payload. Takes CloudEvents in both modes.
pub(crate) async fn invoke(
    State(broker): State<Arc<Broker>>,
    caller: Caller,
    Path(name): Path<String>,
    Query(mode): Query<Mode>,
    request: Request,
) -> Result<Response, ApiError> {
    match mode.mode.as_deref() {
        None | Some("sync") => {}
        Some("deferred") => return Err(ApiError::not_implemented("deferred calls")),
        Some(other) => return Err(ApiError::malformed(format!("the mode `{other}` is not known; sync or deferred"))),
    }
    let (function, qualifier) = target(&name)?;
    let (mut parts, body) = request.into_parts();
    let checked = check(&broker, &caller, &parts).await?;
    let (door, body) = checked.in_time(cloud_events::read(&broker.bodies, &mut parts, body)).await?;
    let ask = Ask {
        door,
        function,
        qualifier,
        wanted: Wanted::AsItComes,
        when_gone: WhenGone::Cancel,
        passed: None,
        payload_max_bytes: PAYLOAD_MAX_BYTES,
    };
    pass_checked(&broker, checked, &caller, ask, &parts, body).await
}

/// Handles `ANY /fn/{name}/{path...}`: method, path, query, headers and body reach the function.
pub(crate) async fn pass_through(
    State(broker): State<Arc<Broker>>,
    caller: Caller,
    Called(name): Called,
    request: Request,
) -> Result<Response, ApiError> {
    let (function, qualifier) = target(&name)?;
    let (parts, body) = request.into_parts();
    let ask = Ask {
        door: Door::PassThrough,
        function,
        qualifier,
        wanted: Wanted::AsItComes,
        when_gone: WhenGone::Cancel,
        passed: Some(passed_through(&parts, 2)),
        payload_max_bytes: STREAMED_MAX_BYTES,
    };
    pass(&broker, &caller, ask, &parts, body).await
}

/// Returns the request as the function sees it: its raw path after the first `segments`, and its query.
pub(super) fn passed_through(parts: &Parts, segments: usize) -> PassedThrough {
    let uri = &parts.uri;
    let after = uri.path().match_indices('/').nth(segments).map_or("", |(at, _)| &uri.path()[at..]);
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    PassedThrough {
        method: parts.method.clone(),
        path: after.to_owned(),
        query: uri.query().map(str::to_owned),
        host: uri.authority().map(|authority| authority.as_str()).or(host).map(str::to_owned),
        remote: parts.extensions.get::<SocketAddr>().map(SocketAddr::ip),
    }
}

#[cfg(test)]
#[path = "../../tests/unit/doors/native.rs"]
mod tests;
