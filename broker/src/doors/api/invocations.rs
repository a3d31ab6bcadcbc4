//! Quotes of calls, and the records of invocations.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use merit_terms::{InvocationState, LeaseId, LeaseIdError, Outcome, Time};
use serde::Deserialize;
use serde_json::{Value, json};

use super::past_query::paged;
use super::rows::{JsonAnswer, lease_id, page_of, tariff};
use crate::broker::Broker;
use crate::caller::{Caller, Client};
use crate::doors::names::{path_name, target};
use crate::doors::request::{Path, Query, Sent};
use crate::error::ApiError;
use crate::exchange::invocations::{
    AttemptRecord, InvocationRecord, Quote, QuoteRequest, QuotedOffer, WantedInvocations,
};
use crate::exchange::leases::lease::Qualifier;
use crate::invocation::preferences::Preferences;
use crate::json::{decimal, read};
use crate::limits::PAYLOAD_MAX_BYTES;

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
) -> JsonAnswer {
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
        "at": quoted.at.to_string(),
        "sequence": quoted.sequence,
        "offers": quoted.offers.iter().enumerate().map(|(i, offer)| quoted_offer(i + 1, offer)).collect::<Vec<_>>(),
        "refused": quoted.refused,
    });
    let seen = quoted.offers.iter().map(|offer| offer.provider.as_str());
    let seen = seen.chain(quoted.refused.iter().map(|offer| offer.provider.as_str()));
    let unknown = broker.exchange.unknown_providers(&caller.account, &preferences.limits.only, seen).await;
    if !unknown.is_empty() {
        answer["unknown_providers"] = json!(unknown);
    }
    if quoted.more_offers > 0 {
        answer["more_offers"] = json!(quoted.more_offers);
    }
    if !quoted.more_refused.is_empty() {
        answer["more_refused"] = json!(quoted.more_refused);
    }
    Ok(Json(answer))
}

fn quoted_offer(rank: usize, offer: &QuotedOffer) -> Value {
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
    if offer.observed {
        answer["observed"] = json!(true);
    }
    if offer.success_percent < 100 {
        answer["success_percent"] = json!(offer.success_percent);
        if let Some(cost) = offer.predicted_cost_of_answer {
            answer["predicted"]["cost_of_answer"] = json!(decimal(cost));
        }
    }
    answer
}

/// Quotes a call, and counts it against the account's rate as a call: it costs the exchange the same search.
pub(in crate::doors) async fn ask_quote(
    broker: &Broker,
    caller: &Caller,
    function: String,
    qualifier: Option<Qualifier>,
    preferences: &Preferences,
) -> Result<Quote, ApiError> {
    broker.rates.count(&caller.account).await?;
    let (account, answer_limit_bytes) = (&caller.account, PAYLOAD_MAX_BYTES as u64);
    let limits = &preferences.limits;
    broker.exchange.quote(QuoteRequest { account, function, qualifier, answer_limit_bytes, limits }).await
}

pub(crate) async fn get(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(id): Path<String>,
) -> JsonAnswer {
    let id: LeaseId = id.parse().map_err(|error: LeaseIdError| ApiError::malformed(error.to_string()))?;
    Ok(Json(invocation_json(&broker.exchange.invocation(&caller.account, id).await?)))
}

/// The query of a list. A part that is left out sets no bound.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    function: Option<String>,
    outcome: Option<String>,
    state: Option<String>,
    from: Option<Time>,
    to: Option<Time>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Lists the invocations of the caller's account, newest first.
pub(crate) async fn list(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Query(asked): Query<ListQuery>,
) -> JsonAnswer {
    let ListQuery { function, outcome, state, from, to, limit, cursor } = asked;
    let wanted = WantedInvocations {
        function: function.map(|name| path_name(&name)).transpose()?,
        outcome: outcome.as_deref().map(named_outcome).transpose()?,
        state: state.as_deref().map(named_state).transpose()?,
        past: paged(from, to, limit, cursor.as_deref())?,
    };
    let page = broker.exchange.invocations(&caller.account, wanted).await?;
    Ok(page_of("invocations", &page, invocation_json))
}

fn named_outcome(word: &str) -> Result<Outcome, ApiError> {
    let unknown = || {
        let known = Outcome::ALL.map(Outcome::as_str).join(", ");
        ApiError::malformed(format!("outcome: `{word}` is not known; one of {known}"))
    };
    Outcome::parse(word).ok_or_else(unknown)
}

fn named_state(word: &str) -> Result<InvocationState, ApiError> {
    let states = InvocationState::ALL.map(InvocationState::as_str);
    let unknown = || ApiError::malformed(format!("state: `{word}` is not known; one of {}", states.join(", ")));
    InvocationState::parse(word).ok_or_else(unknown)
}

fn invocation_json(record: &InvocationRecord) -> Value {
    let mut told = json!({
        "id": lease_id(record.id),
        "function": record.function,
        "revision": record.revision,
        "state": record.state,
        "account": record.account,
        "submitted_at": record.submitted_at.to_string(),
        "attempts": record.attempts.iter().map(attempt_json).collect::<Vec<_>>(),
        "memory_mb": record.memory_mb,
        "vcpus": milli(record.vcpus_milli),
        "tariff": tariff(&record.tariff),
        "quoted_cost": decimal(record.quoted_cost),
    });
    if let Some(deadline) = record.deadline {
        told["deadline"] = json!(deadline.to_string());
    }
    if let Some(last) = record.attempts.last().and_then(|attempt| attempt.lease) {
        // The sequence of the deciding command, for a replay of the journal.
        told["decision_sequence"] = json!(last.sequence);
    }
    if let Some(settlement) = &record.settlement {
        let usage = settlement.usage;
        told["settled_at"] = json!(settlement.at.to_string());
        told["outcome"] = json!(settlement.outcome.map_or("", Outcome::as_str));
        told["usage"] = json!({
            "wall_us": usage.wall_us,
            "cpu_us": usage.cpu_us,
            "cold_us": usage.cold_us,
            "billed_ms": settlement.billed_ms,
            "estimated": settlement.estimated,
        });
        told["egress_bytes"] = json!(usage.egress_bytes);
        told["cost"] = json!(decimal(settlement.cost));
        told["fee"] = json!(decimal(settlement.fee));
    }
    if !record.log.is_empty() {
        told["log"] = json!(String::from_utf8_lossy(&record.log));
    }
    if let Some((provider, predicted_cost)) = &record.runner_up {
        told["runner_up"] = json!({"provider": provider, "predicted_cost": decimal(*predicted_cost)});
    }
    told
}

fn attempt_json(attempt: &AttemptRecord) -> Value {
    let mut told = json!({
        "provider": attempt.provider,
        "market": attempt.market,
        "lease": lease_id(attempt.lease),
        "matched_at": attempt.matched_at.to_string(),
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

/// Returns thousandths as decimal text: `1500` is `1.5`.
fn milli(thousandths: u32) -> String {
    rust_decimal::Decimal::new(i64::from(thousandths), 3).normalize().to_string()
}
