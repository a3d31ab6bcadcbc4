//! `DryRun`: the cost of a call and the place where it would run, without running it.

use std::time::SystemTime;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode};
use merit_terms::RefusalCode;
use serde_json::json;

use crate::broker::Broker;
use crate::caller::Caller;
use crate::doors::api::invocations::ask_quote;
use crate::error::ApiError;
use crate::exchange::leases::lease::Qualifier;
use crate::invocation::preferences::Preferences;
use crate::json::decimal;

/// Quotes a call. Returns its cost and its provider in headers.
pub(super) async fn dry_run(
    broker: &Broker,
    caller: &Caller,
    function: String,
    qualifier: Option<Qualifier>,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    caller.must_call()?;
    let preferences = Preferences::read(headers, SystemTime::now())?;
    let quoted = ask_quote(broker, caller, function, qualifier, &preferences).await?;
    let Some(best) = quoted.offers.first() else {
        let message = "no offer is eligible for this call";
        let error = ApiError::new(RefusalCode::NoEligibleProvider, message);
        return Err(error.with(json!({"refused": quoted.refused})));
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let told = [
        ("merit-provider", best.provider.clone()),
        ("merit-market", best.market.clone()),
        ("merit-price", decimal(best.price)),
        ("merit-quoted-cost", decimal(best.predicted_cost)),
        ("merit-revision", quoted.revision.to_string()),
        ("x-amz-executed-version", quoted.revision.to_string()),
    ];
    for (name, value) in told {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}
