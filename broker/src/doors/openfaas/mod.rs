//! The door of the OpenFaaS gateway, for faas-cli and its clients.
//!
//! Source: the OpenFaaS gateway's API (`/function/`, `/system/`) as faas-cli sends it. A namespace is an account. A
//! public function is called by anybody, on the bill of its account.

pub(crate) mod functions;
mod visitors;

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderName, HeaderValue};

use super::call::{Ask, pass};
use super::error_shape::openfaas as errors;
use super::names::target;
use super::native::passed_through;
use super::request::Called;
use crate::broker::Broker;
use crate::caller::Caller;
use crate::door_names::Door;
use crate::error::ApiError;
use crate::invocation::WhenGone;
use crate::limits::STREAMED_MAX_BYTES;
use crate::provider::call::Wanted;
use visitors::visit;

const CALL_ID: HeaderName = HeaderName::from_static("x-call-id");
const START_TIME: HeaderName = HeaderName::from_static("x-start-time");
const DURATION: HeaderName = HeaderName::from_static("x-duration-seconds");
/// Default namespace of OpenFaaS.
const NAMESPACE: &str = "openfaas-fn";
/// Largest call id of a caller, in bytes.
const CALL_ID_MAX_BYTES: usize = 128;

/// Handles `ANY /function/{name}[.namespace][/path]`.
pub(crate) async fn invoke(
    State(broker): State<Arc<Broker>>,
    caller: Result<Caller, ApiError>,
    Called(name): Called,
    request: Request,
) -> Response {
    match call(&broker, caller, &name, request).await {
        Ok(response) => response,
        Err(error) => errors::respond(error),
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
        CalledBy::Owner => pass(broker, &billed.payer, ask, &parts, body).await,
        CalledBy::Visitor => visit(broker, &billed.payer, ask, parts, body).await,
    };
    let mut response = answered.unwrap_or_else(errors::respond);
    let headers = response.headers_mut();
    headers.insert(CALL_ID, id);
    headers.insert(START_TIME, start);
    if let Ok(took) = HeaderValue::from_str(&format!("{:.6}", started.elapsed().as_secs_f64())) {
        headers.insert(DURATION, took);
    }
    Ok(response)
}

/// A function that is called, and the account that pays.
struct BilledCall<'a> {
    name: &'a str,
    payer: Caller,
    by: CalledBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CalledBy {
    Owner,
    /// Anybody, at a public function.
    Visitor,
}

/// Returns the caller's own function, or a public one of the named account. A function that is neither public nor the
/// caller's is answered exactly like one that does not exist.
async fn billed<'a>(
    broker: &Broker,
    caller: Result<Caller, ApiError>,
    asked: &'a str,
) -> Result<BilledCall<'a>, ApiError> {
    let own = |caller: Caller| {
        let name = within_account(asked, &caller)?;
        caller.must_call()?;
        Ok((name, caller))
    };
    let refused = match caller.and_then(own) {
        Ok((name, payer)) => return Ok(BilledCall { name, payer, by: CalledBy::Owner }),
        Err(refused) => refused,
    };
    let Some((name, account)) = asked.split_once('.') else { return Err(refused) };
    let public = broker.publics.find(account, name).await?.ok_or(refused)?;
    public.count()?;
    Ok(BilledCall { name, payer: Caller::on_the_bill_of(account), by: CalledBy::Visitor })
}

/// Returns the name without its namespace. Refuses a namespace that is not the caller's account.
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

/// Handles `POST /async-function/{name}`, which is specified and not built yet.
pub(crate) async fn invoke_async(caller: Result<Caller, ApiError>) -> Response {
    errors::respond(match caller {
        Ok(_) => ApiError::not_implemented("async calls (/async-function)"),
        Err(error) => error,
    })
}
