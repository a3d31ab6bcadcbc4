//! Visitors of public functions: calls on the owner's bill, without a say in how it is spent.
//!
//! A visitor is told nothing of costs, providers and the owner's means.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::http::request::Parts;
use axum::response::Response;
use http::header;
use merit_terms::Outcome;

use crate::broker::Broker;
use crate::caller::{Caller, holder};
use crate::doors::answer::respond;
use crate::doors::call::{Ask, check, invocation};
use crate::error::{ApiError, ErrorCode};
use crate::invocation::Receipt;
use crate::invocation::preferences::Preferences;
use crate::limits::PAYLOAD_MAX_BYTES;
use crate::provider::payload::Payload;
use crate::quota::bodies;

/// Headers of the receipt that a visitor is not told: all but the id and the overhead.
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
/// Runs a visitor's call on the bill of `payer`.
pub(super) async fn visit(
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
    // A client that asks for trailers would be told the cost.
    parts.headers.remove(header::TE);
    let checked = check(broker, payer, &parts).await.map_err(to_a_visitor)?;
    let room = bodies::Room::new(&broker.visitors_bodies, holder(&parts));
    let payload = Payload::Whole(bodies::read(body, PAYLOAD_MAX_BYTES, room).await?);
    let invocation = invocation(checked, payer, ask, &parts, payload);
    let answered = broker.invocations.run(invocation).await.map_err(to_a_visitor)?;
    let error = match answered.outcome {
        Outcome::Ok => None,
        Outcome::Timeout => Some((ErrorCode::Timeout, "the function did not end in time")),
        _ => Some((ErrorCode::FunctionFailed, "the function failed")),
    };
    if let Some((code, message)) = error {
        let Receipt { invocation, overhead, .. } = answered.receipt;
        return Err(ApiError::new(code, message).about(invocation).added(overhead));
    }
    let mut response = respond(answered, &parts.headers);
    let headers = response.headers_mut();
    RECEIPT.iter().for_each(|name| drop(headers.remove(*name)));
    Ok(response)
}

/// Returns an error as a visitor reads it: its own faults as they are, and nothing of the owner's means and providers.
fn to_a_visitor(error: ApiError) -> ApiError {
    let (code, message) = match (error.status().as_u16(), error.code) {
        (400 | 408 | 413 | 501, _) => return error,
        (_, code @ ErrorCode::RateLimited) => (code, "the function gets more calls a second than its limit"),
        (500 | 502, _) => (ErrorCode::ProviderFailed, "the function did not answer"),
        (504, _) => (ErrorCode::Timeout, "the function did not answer in time"),
        _ => (ErrorCode::Unavailable, "the function cannot be called at present"),
    };
    let told = ApiError::new(code, message);
    let retry_after_s = error.retry_after_s.or(told.retry_after_s);
    let ApiError { invocation_id, overhead_us, execution, .. } = error;
    ApiError { retry_after_s, invocation_id, overhead_us, execution, ..told }
}
