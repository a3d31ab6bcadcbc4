//! Quotes, and the records of invocations.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use merit_proto::v1;
use merit_terms::{LeaseId, Outcome};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::PAYLOAD_MAX_BYTES;
use crate::caller::{Caller, Client};
use crate::doors::request::{Path, Sent};
use crate::doors::target;
use crate::error::ApiError;
use crate::exchange::clients::answer;
use crate::invocation::preferences::Preferences;
use crate::json::{decimal, lease_id, read, refused_offers, tariff, time};
use crate::server::State as Broker;

#[derive(Deserialize)]
struct QuoteBody {
    payload_bytes: Option<u64>,
}

pub(crate) async fn quote(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
    headers: HeaderMap,
    Sent(body): Sent,
) -> Result<Json<Value>, ApiError> {
    let (name, qualifier) = target(&name)?;
    let preferences = Preferences::read(&headers, SystemTime::now())?;
    if !body.is_empty() {
        let asked: QuoteBody = read(&body, &["payload_bytes"])?;
        if asked.payload_bytes.is_some_and(|bytes| bytes > PAYLOAD_MAX_BYTES as u64) {
            return Err(ApiError::too_large("payload", PAYLOAD_MAX_BYTES));
        }
    }
    let quoted = ask_quote(&broker, &caller, name.to_string(), qualifier, &preferences).await?;
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

pub(in crate::doors) async fn ask_quote(
    broker: &Broker,
    caller: &Caller,
    function: String,
    qualifier: Option<v1::Qualifier>,
    preferences: &Preferences,
) -> Result<v1::QuoteResponse, ApiError> {
    // It costs the exchange what a call does.
    broker.rates.count(&caller.account).await?;
    let request = v1::QuoteRequest {
        account: caller.account.to_string(),
        function,
        qualifier,
        answer_limit_bytes: PAYLOAD_MAX_BYTES as u64,
        limits: Some((&preferences.limits).into()),
    };
    let mut client = broker.exchange.brokerage.clone();
    answer(client.quote(request)).await
}

pub(crate) async fn get(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id: LeaseId = id.parse().map_err(|error: merit_terms::LeaseIdError| ApiError::malformed(error.to_string()))?;
    let mut client = broker.exchange.brokerage.clone();
    let request = v1::GetInvocationRequest { account: caller.account.to_string(), id: Some(id.into()) };
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
