//! The native door: invoke, quote, and the record of an invocation.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use merit_proto::v1;
use merit_terms::{LeaseId, Outcome};
use serde::Deserialize;
use serde_json::{Value, json};

use super::target;
use crate::PAYLOAD_MAX_BYTES;
use crate::dispatch::{End, Finished};
use crate::error::ApiError;
use crate::exchange::answer;
use crate::guard::DEV;
use crate::invoke::{Ended, Invocation, failure, invoke};
use crate::json::{decimal, lease_id, read, tariff, time};
use crate::preferences::Preferences;
use crate::serve::State as Broker;
use crate::upstream::Call;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mode {
    mode: Option<String>,
}

pub(crate) async fn post(
    State(broker): State<Arc<Broker>>,
    Path(name): Path<String>,
    mode: Result<Query<Mode>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<Response, ApiError> {
    let received = Instant::now();
    refuse_what_waits(&headers, mode)?;
    let (name, qualifier) = target(&name)?;
    let preferences = Preferences::read(&headers, SystemTime::now())?;
    let call = Call {
        account: DEV.to_owned(),
        function: name.to_string(),
        content_type: headers.get(header::CONTENT_TYPE).cloned(),
        payload,
    };
    let ended = invoke(
        &broker,
        Invocation { call: call.clone(), qualifier: qualifier.clone(), preferences: preferences.clone(), received },
    )
    .await?;
    if let Some(error) = failure(&ended) {
        let reasons = error.code == "no_eligible_provider";
        return Err(match reasons {
            true => error.with(reasons_of(&broker, &call, qualifier, &preferences).await),
            false => error,
        });
    }
    Ok(respond(ended))
}

/// Async and deferred calls and stored idempotency are specified and not there yet.
fn refuse_what_waits(
    headers: &HeaderMap,
    mode: Result<Query<Mode>, axum::extract::rejection::QueryRejection>,
) -> Result<(), ApiError> {
    let Query(mode) = mode.map_err(|error| ApiError::malformed(error.to_string()))?;
    match mode.mode.as_deref() {
        None | Some("sync") => {}
        Some("deferred") => return Err(ApiError::not_implemented("deferred calls")),
        Some(other) => return Err(ApiError::malformed(format!("the mode `{other}` is not known; sync or deferred"))),
    }
    let prefers = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    if prefers.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case("respond-async")) {
        return Err(ApiError::not_implemented("async calls (Prefer: respond-async)"));
    }
    if headers.contains_key("idempotency-key") {
        return Err(ApiError::not_implemented("Idempotency-Key"));
    }
    Ok(())
}

/// The answer of an invocation that executed.
fn respond(ended: Ended) -> Response {
    let Ended { finished, answer, overhead, .. } = ended;
    let End::Executed { outcome, cost, billed_ms } = finished.end else {
        return ApiError::unavailable("the invocation did not execute").into_response();
    };
    let message = answer.message;
    let mut response = match outcome {
        Outcome::Ok => {
            let mut response = answer.body.into_response();
            let octets = HeaderValue::from_static("application/octet-stream");
            let content_type = answer.content_type.unwrap_or(octets);
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            let sandbox = HeaderValue::from_static("sandbox");
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, sandbox);
            response
        }
        failed => function_error(&finished, failed, message).into_response(),
    };
    let headers = response.headers_mut();
    let mut insert = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    insert("merit-attempts", finished.attempts.to_string());
    insert("merit-cost", decimal(cost));
    insert("merit-billed-ms", billed_ms.to_string());
    insert("merit-overhead-us", overhead.as_micros().to_string());
    if let Some(id) = finished.invocation {
        insert("merit-invocation-id", id.to_string());
    }
    if let Some(grant) = finished.grant {
        insert("merit-provider", grant.provider);
        insert("merit-market", grant.market);
        insert("merit-revision", grant.revision.to_string());
        insert("merit-price", decimal(grant.price));
        insert("merit-quoted-cost", decimal(grant.quoted_cost));
    }
    response
}

/// The function's own failure: it ran, and is charged.
fn function_error(finished: &Finished, outcome: Outcome, message: Option<String>) -> ApiError {
    let said = message.map(|message| format!(": {message}")).unwrap_or_default();
    let error = match outcome {
        Outcome::Timeout => {
            let ms = finished.grant.as_ref().map_or(0, |grant| grant.timeout_ms);
            let message = format!("the function did not end within {ms} ms; what ran is charged");
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message).with(json!({"reason": "function"}))
        }
        outcome => {
            let message = format!("the function failed ({outcome}); what ran is charged{said}");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "function_failed", message)
                .with(json!({"reason": outcome.as_str()}))
        }
    };
    match finished.invocation {
        Some(id) => error.about(id),
        None => error,
    }
}

#[derive(Deserialize)]
struct QuoteBody {
    payload_bytes: Option<u64>,
}

pub(crate) async fn quote(
    State(broker): State<Arc<Broker>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (name, qualifier) = target(&name)?;
    let preferences = Preferences::read(&headers, SystemTime::now())?;
    if !body.is_empty() {
        let asked: QuoteBody = read(&body, &["payload_bytes"])?;
        if asked.payload_bytes.is_some_and(|bytes| bytes > PAYLOAD_MAX_BYTES as u64) {
            return Err(ApiError::too_large("payload", PAYLOAD_MAX_BYTES));
        }
    }
    let quoted = ask_quote(&broker, name.to_string(), qualifier, &preferences).await?;
    let mut answer = json!({
        "function": name.to_string(),
        "revision": quoted.revision,
        "at": time(quoted.at),
        "sequence": quoted.sequence,
        "offers": quoted.offers.iter().enumerate().map(|(i, offer)| quoted_offer(i + 1, offer)).collect::<Vec<_>>(),
        "refused": refused_offers(&quoted),
    });
    if quoted.more_offers > 0 {
        answer["more_offers"] = json!(quoted.more_offers);
    }
    if !quoted.more_refused.is_empty() {
        let counts = quoted.more_refused.iter().map(|more| (more.code.clone(), json!(more.count))).collect();
        answer["more_refused"] = Value::Object(counts);
    }
    Ok(Json(answer))
}

fn quoted_offer(rank: usize, offer: &v1::QuotedOffer) -> Value {
    let mut answer = json!({
        "rank": rank,
        "provider": offer.provider,
        "offer": offer.offer,
        "market": offer.market,
        "price": decimal(offer.price),
        "predicted": {
            "wall_us": offer.predicted_wall_us,
            "cold_us": offer.predicted_cold_us,
            "billed_ms": offer.predicted_billed_ms,
            "cost": decimal(offer.predicted_cost),
        },
        "worst_cost": decimal(offer.worst_cost),
        "timeout_ms": offer.timeout_ms,
    });
    if offer.prior {
        answer["prior"] = json!(true);
    }
    answer
}

fn refused_offers(quoted: &v1::QuoteResponse) -> Vec<Value> {
    let refused = quoted.refused.iter().map(|offer| {
        json!({
            "provider": offer.provider,
            "offer": offer.offer,
            "market": offer.market,
            "code": offer.code,
            "message": offer.message,
        })
    });
    refused.collect()
}

async fn ask_quote(
    broker: &Broker,
    function: String,
    qualifier: Option<v1::Qualifier>,
    preferences: &Preferences,
) -> Result<v1::QuoteResponse, ApiError> {
    let request = v1::QuoteRequest {
        account: DEV.to_owned(),
        function,
        qualifier,
        answer_limit_bytes: PAYLOAD_MAX_BYTES as u64,
        limits: Some((&preferences.limits).into()),
    };
    let mut client = broker.exchange.brokerage.clone();
    answer(client.quote(request)).await
}

/// Offer by offer, why none may serve the call.
async fn reasons_of(
    broker: &Broker,
    call: &Call,
    qualifier: Option<v1::Qualifier>,
    preferences: &Preferences,
) -> Value {
    match ask_quote(broker, call.function.clone(), qualifier, preferences).await {
        Ok(quoted) => json!({"refused": refused_offers(&quoted)}),
        Err(_) => Value::Null,
    }
}

pub(crate) async fn get(State(broker): State<Arc<Broker>>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let id: LeaseId = id.parse().map_err(|error: merit_terms::LeaseIdError| ApiError::malformed(error.to_string()))?;
    let mut client = broker.exchange.brokerage.clone();
    let request = v1::GetInvocationRequest { account: DEV.to_owned(), id: Some(id.into()) };
    let record = answer(client.get_invocation(request)).await?;
    Ok(Json(invocation_json(&record)))
}

fn invocation_json(record: &v1::Invocation) -> Value {
    let mut answer = json!({
        "id": lease_id(record.id),
        "function": record.function,
        "revision": record.revision,
        "state": record.state,
        "account": record.account,
        "submitted_at": time(record.submitted_at),
        "attempts": record.attempts.iter().map(attempt_json).collect::<Vec<_>>(),
        "memory_mb": record.memory_mb,
        "vcpus": milli(record.vcpus_milli),
        "tariff": tariff(&record.tariff.unwrap_or_default()),
        "quoted_cost": decimal(record.quoted_cost),
    });
    if record.deadline > 0 {
        answer["deadline"] = json!(time(record.deadline));
    }
    if let Some(last) = record.attempts.last().and_then(|attempt| attempt.lease) {
        // The command that decided it, for who replays the journal.
        answer["decision_sequence"] = json!(last.sequence);
    }
    if record.settled_at > 0 {
        let usage = record.usage.unwrap_or_default();
        answer["settled_at"] = json!(time(record.settled_at));
        answer["outcome"] = json!(Outcome::try_from(record.outcome()).map_or("", Outcome::as_str));
        answer["usage"] = json!({
            "wall_us": usage.wall_us,
            "cpu_us": usage.cpu_us,
            "cold_us": usage.cold_us,
            "billed_ms": record.billed_ms,
            "estimated": record.estimated,
        });
        answer["egress_bytes"] = json!(usage.egress_bytes);
        answer["cost"] = json!(decimal(record.cost));
        answer["fee"] = json!(decimal(record.fee));
    }
    if !record.runner_up.is_empty() {
        answer["runner_up"] = json!({"provider": record.runner_up, "predicted_cost": decimal(record.runner_up_cost)});
    }
    answer
}

fn attempt_json(attempt: &v1::Attempt) -> Value {
    let mut told = json!({
        "provider": attempt.provider,
        "market": attempt.market,
        "lease": lease_id(attempt.lease),
        "matched_at": time(attempt.matched_at),
        "outcome": attempt.outcome,
        "wall_us": attempt.wall_us,
        "quoted_cost": decimal(attempt.quoted_cost),
        "prior": attempt.prior,
    });
    if let Some(cost) = attempt.cost {
        told["cost"] = json!(decimal(cost));
    }
    if let Some(claim) = attempt.claim {
        told["claim"] = json!({"wall_us": claim.wall_us, "cpu_us": claim.cpu_us, "cold_us": claim.cold_us});
    }
    told
}

/// Thousandths as decimal text: `1500` is `1.5`.
fn milli(thousandths: u32) -> String {
    rust_decimal::Decimal::new(i64::from(thousandths), 3).normalize().to_string()
}
