//! The OpenFaaS gateway's door: what faas-cli and its clients call.
//!
//! Source: the OpenFaaS gateway's API (`/function/`, `/system/`) as faas-cli sends it. A namespace is the account. A function
//! may be public: others call it, with or without a key, on its account's bill, and are told nothing of what it costs.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use merit_proto::v1;
use merit_terms::Outcome;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::functions::{all, must_find};
use super::call::{Ask, admit, invocation, pass, respond};
use super::native::passed_through;
use super::target;
use crate::caller::Caller;
use crate::doors::request::{Called, Path, Query};
use crate::error::ApiError;
use crate::invocation::preferences::Preferences;
use crate::invocation::run::{Receipt, WhenGone, invoke as invoke_call};
use crate::metrics::Door;
use crate::provider::attempt::Wanted;
use crate::provider::payload::{Payload, Room};
use crate::server::State as Broker;
use crate::{PAYLOAD_MAX_BYTES, STREAMED_MAX_BYTES};

const CALL_ID: HeaderName = HeaderName::from_static("x-call-id");
const START_TIME: HeaderName = HeaderName::from_static("x-start-time");
const DURATION: HeaderName = HeaderName::from_static("x-duration-seconds");
/// The namespace in which OpenFaaS looks without one.
const NAMESPACE: &str = "openfaas-fn";
/// What a call's receipt says of it beside its id and Merit's own time.
const RECEIPT: [&str; 8] = [
    "merit-provider",
    "merit-market",
    "merit-revision",
    "merit-price",
    "merit-quoted-cost",
    "merit-cost",
    "merit-billed-ms",
    "merit-attempts",
];
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
    let started = Instant::now();
    let billed = billed(broker, caller, name).await?;
    let (function, qualifier) = target(billed.name)?;
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
    let answered = match billed.by {
        By::Owner => pass(broker, &billed.payer, ask, &parts, body).await,
        By::Visitor => visit(broker, &billed.payer, ask, parts, body).await,
    };
    let mut response = answered.unwrap_or_else(respond_error);
    let headers = response.headers_mut();
    headers.insert(CALL_ID, id);
    headers.insert(START_TIME, start);
    if let Ok(took) = HeaderValue::from_str(&format!("{:.6}", started.elapsed().as_secs_f64())) {
        headers.insert(DURATION, took);
    }
    Ok(response)
}

/// A function that is called, and who pays for it.
struct Billed<'a> {
    name: &'a str,
    payer: Caller,
    by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Owner,
    /// Anybody, of a public function.
    Visitor,
}

/// The caller's own function, or a public one of the account that is named. Of one that is neither public nor the caller's is
/// said what is said of one that is nowhere.
async fn billed<'a>(broker: &Broker, caller: Result<Caller, ApiError>, asked: &'a str) -> Result<Billed<'a>, ApiError> {
    let own = |caller: Caller| {
        let name = within_account(asked, &caller)?;
        caller.must_call()?;
        Ok((name, caller))
    };
    let refused = match caller.and_then(own) {
        Ok((name, payer)) => return Ok(Billed { name, payer, by: By::Owner }),
        Err(refused) => refused,
    };
    let Some((name, account)) = asked.split_once('.') else { return Err(refused) };
    let public = broker.publics.find(account, name).await?.ok_or(refused)?;
    public.count()?;
    Ok(Billed { name, payer: Caller::on_the_bill_of(account), by: By::Visitor })
}

/// A call on somebody else's bill: with no say in how it is spent, and told nothing of it.
async fn visit(
    broker: &Arc<Broker>,
    payer: &Caller,
    ask: Ask,
    mut parts: Parts,
    body: Body,
) -> Result<Response, ApiError> {
    if Preferences::read(&parts.headers, SystemTime::now())? != Preferences::default() {
        return Err(ApiError::malformed(
            "a public function is called as its owner defined it: without preferences (Merit-*)",
        ));
    }
    // The cost is told as a trailer to who asks for one.
    parts.headers.remove(header::TE);
    let admitted = admit(broker, payer, &parts).await.map_err(to_a_visitor)?;
    let room = Room::new(&broker.visitors_buffers, &parts);
    let payload = Payload::Whole(Payload::read_whole(body, PAYLOAD_MAX_BYTES, room).await?);
    let invocation = invocation(admitted, payer, ask, &parts, payload);
    let answered = invoke_call(broker, invocation).await.map_err(to_a_visitor)?;
    let error = match answered.outcome {
        Outcome::Ok => None,
        Outcome::Timeout => Some((StatusCode::GATEWAY_TIMEOUT, "timeout", "the function did not end in time")),
        _ => Some((StatusCode::INTERNAL_SERVER_ERROR, "function_failed", "the function failed")),
    };
    if let Some((status, code, message)) = error {
        let Receipt { invocation, overhead, .. } = answered.receipt;
        return Err(ApiError::new(status, code, message).about(invocation).added(overhead));
    }
    let mut response = respond(answered, &parts.headers);
    let headers = response.headers_mut();
    RECEIPT.iter().for_each(|name| drop(headers.remove(*name)));
    Ok(response)
}

/// What a visitor reads of an error: what it did wrong itself as it is, and nothing of the owner's means and providers.
fn to_a_visitor(error: ApiError) -> ApiError {
    let (status, code, message) = match (error.status.as_u16(), error.code.as_str()) {
        (400 | 408 | 413 | 501, _) => return error,
        (429, "rate_limited") => (error.status, "rate_limited", "the function gets more calls a second than its limit"),
        (500 | 502, _) => (StatusCode::BAD_GATEWAY, "provider_failed", "the function did not answer"),
        (504, _) => (error.status, "timeout", "the function did not answer in time"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the function cannot be called at present"),
    };
    let told = ApiError::new(status, code, message);
    let retry_after_s = error.retry_after_s.or(told.retry_after_s);
    let ApiError { invocation_id, overhead_us, execution, .. } = error;
    ApiError { retry_after_s, invocation_id, overhead_us, execution, ..told }
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
        // Nothing is scaled here: what somebody sells may be called.
        "replicas": 1,
        "availableReplicas": 1,
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
