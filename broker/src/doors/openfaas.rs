//! The OpenFaaS gateway's door: what faas-cli and its clients call.
//!
//! Source: the OpenFaaS gateway's API (`/function/`, `/system/`) as faas-cli sends it. A namespace is the account.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use merit_proto::v1;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Ask, pass};
use super::functions::{all, must_find};
use super::native::passed_through;
use super::target;
use crate::STREAMED_MAX_BYTES;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{Called, Path, Query};
use crate::invoke::WhenGone;
use crate::metrics::Door;
use crate::serve::State as Broker;
use crate::upstream::Wanted;

const CALL_ID: HeaderName = HeaderName::from_static("x-call-id");
const START_TIME: HeaderName = HeaderName::from_static("x-start-time");
const DURATION: HeaderName = HeaderName::from_static("x-duration-seconds");
/// The namespace in which OpenFaaS looks without one.
const NAMESPACE: &str = "openfaas-fn";
/// A call id that a caller makes may not be longer.
const CALL_ID_MAX_BYTES: usize = 128;

/// What a caller of this door reads: the status, and the sentence.
pub(super) fn respond_error(error: ApiError) -> Response {
    let told = error.headers();
    let mut response = (error.status, format!("{}\n", error.message)).into_response();
    let headers = response.headers_mut();
    if let Ok(code) = HeaderValue::from_str(&error.code) {
        headers.insert("x-merit-error", code);
    }
    headers.extend(told);
    if error.status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"merit\""));
    }
    response
}

/// `ANY /function/{name}[.namespace][/path]`.
pub(crate) async fn invoke(
    State(broker): State<Arc<Broker>>,
    caller: Result<Caller, ApiError>,
    Called(name): Called,
    request: Request,
) -> Response {
    match call(&broker, caller, &name, request).await {
        Ok(response) => response,
        Err(error) => respond_error(error),
    }
}

async fn call(
    broker: &Arc<Broker>,
    caller: Result<Caller, ApiError>,
    name: &str,
    request: Request,
) -> Result<Response, ApiError> {
    let (caller, started) = (caller?, Instant::now());
    let name = within_account(name, &caller)?;
    let (function, qualifier) = target(name)?;
    let (mut parts, body) = request.into_parts();
    let id = call_id(&parts.headers)?;
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let start = HeaderValue::from_str(&at.to_string()).unwrap_or(HeaderValue::from_static("0"));
    parts.headers.insert(CALL_ID, id.clone());
    parts.headers.insert(START_TIME, start.clone());
    let ask = Ask {
        door: Door::OpenFaas,
        function,
        qualifier,
        wanted: Wanted::AsItComes,
        when_gone: WhenGone::Cancel,
        passed: Some(passed_through(&parts, 2)),
        payload_max_bytes: STREAMED_MAX_BYTES,
    };
    let answered = pass(broker, &caller, ask, &parts, body).await;
    let mut response = answered.unwrap_or_else(respond_error);
    let headers = response.headers_mut();
    headers.insert(CALL_ID, id);
    headers.insert(START_TIME, start);
    if let Ok(took) = HeaderValue::from_str(&format!("{:.6}", started.elapsed().as_secs_f64())) {
        headers.insert(DURATION, took);
    }
    Ok(response)
}

/// The name without its namespace, which is the caller's account.
fn within_account<'a>(name: &'a str, caller: &Caller) -> Result<&'a str, ApiError> {
    match name.split_once('.') {
        None => Ok(name),
        Some((name, namespace)) if namespace == NAMESPACE || *namespace == *caller.account => Ok(name),
        Some((name, namespace)) => Err(ApiError::not_found(format!("there is no function `{name}` in `{namespace}`"))),
    }
}

fn call_id(headers: &http::HeaderMap) -> Result<HeaderValue, ApiError> {
    match headers.get(CALL_ID) {
        Some(id) if id.len() <= CALL_ID_MAX_BYTES && id.to_str().is_ok() && !id.is_empty() => Ok(id.clone()),
        Some(_) => Err(ApiError::malformed(format!("X-Call-Id is text of at most {CALL_ID_MAX_BYTES} bytes"))),
        None => {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(|_| ApiError::internal("no random numbers"))?;
            HeaderValue::from_str(&uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
                .map_err(|_| ApiError::internal("a call id is no header"))
        }
    }
}

/// `POST /async-function/{name}`: specified, and not there yet.
pub(crate) async fn invoke_async(caller: Result<Caller, ApiError>) -> Response {
    respond_error(match caller {
        Ok(_) => ApiError::not_implemented("async calls (/async-function)"),
        Err(error) => error,
    })
}

#[derive(Deserialize)]
pub(crate) struct Namespace {
    namespace: Option<String>,
}

/// `GET /system/functions`.
pub(crate) async fn list(
    State(broker): State<Arc<Broker>>,
    caller: Result<Caller, ApiError>,
    Query(asked): Query<Namespace>,
) -> Response {
    let listed = async {
        let caller = caller?;
        caller.must_call()?;
        let own = asked
            .namespace
            .as_deref()
            .is_none_or(|namespace| namespace.is_empty() || namespace == NAMESPACE || *namespace == *caller.account);
        let functions = if own { all(&broker, &caller).await? } else { Vec::new() };
        Ok::<_, ApiError>(Json(functions.iter().map(status).collect::<Vec<_>>()))
    };
    listed.await.map_or_else(respond_error, IntoResponse::into_response)
}

/// `GET /system/function/{name}`.
pub(crate) async fn get(
    State(broker): State<Arc<Broker>>,
    caller: Result<Caller, ApiError>,
    Path(name): Path<String>,
) -> Response {
    let found = async {
        let caller = caller?;
        caller.must_call()?;
        let name = within_account(&name, &caller)?;
        Ok::<_, ApiError>(Json(status(&must_find(&broker, &caller, name).await?)))
    };
    found.await.map_or_else(respond_error, IntoResponse::into_response)
}

fn status(function: &v1::Function) -> Value {
    let settings = function.settings.clone().unwrap_or_default();
    let newest = function.revisions.last().cloned().unwrap_or_default();
    json!({
        "name": function.name,
        "namespace": function.account,
        "image": if newest.module.is_empty() { String::new() } else { format!("sha256:{}", hex::encode(&newest.module)) },
        "labels": settings.labels,
        "annotations": {"merit.revision": function.live.to_string()},
        "replicas": 1,
        "availableReplicas": 1,
        "invocationCount": 0,
        "limits": {"memory": format!("{}Mi", newest.memory_mb)},
    })
}

/// `GET /system/info`.
pub(crate) async fn info() -> Json<Value> {
    let version = env!("CARGO_PKG_VERSION");
    Json(json!({
        "arch": std::env::consts::ARCH,
        "provider": {"provider": "merit", "orchestration": "merit", "version": {"release": version, "sha": ""}},
        "version": {"release": version, "sha": "", "commit_message": ""},
    }))
}
