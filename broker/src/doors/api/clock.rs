//! `/v1/clock`: the market's time beside the exchange's wall clock, for its operator.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::rows::JsonAnswer;
use crate::broker::Broker;
use crate::caller::Operator;
use crate::exchange::operator::ClockReport;

/// Reads both.
pub(crate) async fn get(State(broker): State<Arc<Broker>>, _: Operator) -> JsonAnswer {
    Ok(told(broker.exchange.clock().await?))
}

/// Follows a wall clock that was set by more than a minute.
pub(crate) async fn accept(State(broker): State<Arc<Broker>>, _: Operator) -> JsonAnswer {
    Ok(told(broker.exchange.accept_clock().await?))
}

fn told(ClockReport { at, wall, refused }: ClockReport) -> Json<Value> {
    Json(json!({"at": at.to_string(), "clock": wall.to_string(), "refused": refused}))
}
