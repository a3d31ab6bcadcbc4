//! Rows that several answers share: budgets, tariffs, offers, bids and trades as JSON.

use axum::Json;
use merit_terms::{LeaseId, Period, Tariff};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::exchange::accounts::BudgetUse;
use crate::exchange::markets::{BidLevel, Offer, Trade};
use crate::exchange::past::ListPage;
use crate::json::{decimal, gb_seconds};

/// The answer of most handlers.
pub(super) type JsonAnswer = Result<Json<Value>, ApiError>;

/// Returns the answer to an operator's command: its sequence.
pub(super) fn accepted(sequence: u64) -> Json<Value> {
    Json(json!({"sequence": sequence}))
}

/// Returns a page of rows under their name, with the cursor of the page after it.
pub(super) fn page_of<T>(name: &str, page: &ListPage<T>, row: impl Fn(&T) -> Value) -> Json<Value> {
    let mut told = json!({name: page.rows.iter().map(row).collect::<Vec<_>>()});
    if let Some(next) = page.next {
        told["next"] = json!(next.to_string());
    }
    Json(told)
}

pub(super) fn budget(budget: &BudgetUse) -> Value {
    json!({
        "period": period(budget.period),
        "amount": decimal(budget.amount),
        "spent": budget.spent.to_string(),
        "held": budget.held.to_string(),
    })
}

/// Returns `day` or `month`; `never` for none.
pub(super) fn period(period: Option<Period>) -> &'static str {
    period.map_or("never", Period::as_str)
}

pub(super) fn lease_id(id: Option<LeaseId>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

pub(super) fn tariff(tariff: &Tariff) -> Value {
    json!({
        "per_request": tariff.per_request.to_string(),
        "per_gb_second": tariff.per_gb_second.to_string(),
        "per_cpu_ms": tariff.per_cpu_ms.to_string(),
        "per_gb_egress": tariff.per_gb_egress.to_string(),
        "increment_ms": tariff.increment_ms,
        "minimum_ms": tariff.minimum_ms,
        "memory_step_mb": tariff.memory_step_mb,
        "bills_cold_start": tariff.bills_cold_start,
    })
}

pub(super) fn offer(offer: &Offer) -> Value {
    json!({
        "offer": offer.offer,
        "provider": offer.provider,
        "price": decimal(offer.price),
        "capacity_mb": offer.capacity_mb,
        "free_mb": offer.free_mb,
        "per_gb_second": offer.tariff.per_gb_second.to_string(),
        "per_request": offer.tariff.per_request.to_string(),
    })
}

pub(super) fn bid_level(level: &BidLevel) -> Value {
    json!({"price": decimal(level.price), "memory_mb": level.memory_mb, "bids": level.bids})
}

pub(super) fn trade(trade: &Trade) -> Value {
    let mut told = json!({
        "sequence": trade.sequence,
        "match_sequence": trade.match_sequence,
        "at": trade.at.to_string(),
        "provider": trade.provider,
        "price": decimal(trade.price),
        "memory_mb": trade.memory_mb,
        "gb_seconds": gb_seconds(trade.memory_mb, trade.billed_ms),
    });
    if let Some((invocation, cost)) = trade.own {
        told["invocation_id"] = json!(invocation.to_string());
        told["cost"] = json!(decimal(cost));
    }
    if trade.private {
        told["private"] = json!(true);
    }
    told
}
