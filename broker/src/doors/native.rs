//! The native door: invoke by name, and calls that are passed through with their method, path and query.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use http::header;
use serde::Deserialize;

use super::call::{Ask, admit, pass, pass_admitted};
use super::{cloud_events, target};
use crate::caller::Caller;
use crate::doors::request::{Called, Path, Query};
use crate::error::ApiError;
use crate::invocation::run::WhenGone;
use crate::metrics::Door;
use crate::provider::attempt::{PassedThrough, Wanted};
use crate::server::State as Broker;
use crate::{PAYLOAD_MAX_BYTES, STREAMED_MAX_BYTES};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mode {
    mode: Option<String>,
}

/// `POST /v1/functions/{name}/invocations`: the body is the payload. CloudEvents are taken in both modes.
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
    let admitted = admit(&broker, &caller, &parts).await?;
    let (door, body) = admitted.in_time(cloud_events::read(&broker.buffers, &mut parts, body)).await?;
    let ask = Ask {
        door,
        function,
        qualifier,
        wanted: Wanted::AsItComes,
        when_gone: WhenGone::Cancel,
        passed: None,
        payload_max_bytes: PAYLOAD_MAX_BYTES,
    };
    pass_admitted(&broker, admitted, &caller, ask, &parts, body).await
}

/// `ANY /fn/{name}/{path...}`: method, path, query, headers and body reach the function.
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

/// What the function sees of the request: its path after the first `segments`, as it was sent, and its query.
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
mod tests {
    use super::*;

    #[test]
    fn the_function_sees_the_path_after_its_name() {
        let seen = |uri: &str| {
            let parts = http::Request::builder().uri(uri).body(()).unwrap().into_parts().0;
            let passed = passed_through(&parts, 2);
            (passed.path, passed.query)
        };
        let query = |query: &str| Some(query.to_owned());
        assert_eq!(seen("/fn/thumb"), (String::new(), None));
        assert_eq!(seen("/fn/thumb/"), ("/".to_owned(), None));
        assert_eq!(seen("/fn/thumb?a=1"), (String::new(), query("a=1")));
        assert_eq!(seen("/fn/thumb/a/b%2Fc/?q=1&r=%20"), ("/a/b%2Fc/".to_owned(), query("q=1&r=%20")));
        assert_eq!(seen("/fn/thumb//x"), ("//x".to_owned(), None));
    }
}
