//! The tape of a market: its trades and its candles.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use merit_terms::Time;
use rust_decimal::Decimal as Exact;
use serde::Deserialize;
use serde_json::{Value, json};

use super::past_query::{PastQuery, check};
use super::rows::{JsonAnswer, trade};
use crate::broker::Broker;
use crate::caller::SeenBy;
use crate::doors::names::path_market;
use crate::doors::request::{Path, Query};
use crate::exchange::markets::{Candle, CandleInterval};
use crate::exchange::past::Past;
use crate::json::{decimal, energy};

/// Most trades in one answer.
const TRADES_MAX: u32 = 1_000;
/// Most candles in one answer.
const CANDLES_MAX: u32 = 1_500;

pub(crate) async fn trades(
    State(broker): State<Arc<Broker>>,
    seen_by: SeenBy,
    Path((region, class)): Path<(String, String)>,
    Query(past): Query<PastQuery>,
) -> JsonAnswer {
    let past = past.checked(TRADES_MAX)?;
    let trades = broker.exchange.trades(path_market(&region, &class)?, seen_by.account(), past).await?;
    Ok(Json(json!({"trades": trades.iter().map(trade).collect::<Vec<_>>()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CandlesQuery {
    #[serde(default)]
    interval: IntervalField,
    from: Option<Time>,
    to: Option<Time>,
    limit: Option<u32>,
}

#[derive(Clone, Copy, Default, Deserialize)]
enum IntervalField {
    #[serde(rename = "1s")]
    Second,
    #[default]
    #[serde(rename = "1m")]
    Minute,
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "1d")]
    Day,
}

impl IntervalField {
    const fn as_str(self) -> &'static str {
        match self {
            IntervalField::Second => "1s",
            IntervalField::Minute => "1m",
            IntervalField::Hour => "1h",
            IntervalField::Day => "1d",
        }
    }

    fn interval(self) -> CandleInterval {
        match self {
            IntervalField::Second => CandleInterval::Second,
            IntervalField::Minute => CandleInterval::Minute,
            IntervalField::Hour => CandleInterval::Hour,
            IntervalField::Day => CandleInterval::Day,
        }
    }
}

pub(crate) async fn candles(
    State(broker): State<Arc<Broker>>,
    Path((region, class)): Path<(String, String)>,
    Query(asked): Query<CandlesQuery>,
) -> JsonAnswer {
    check(asked.from, asked.to, asked.limit, CANDLES_MAX)?;
    let market = path_market(&region, &class)?;
    let past = Past { from: asked.from, to: asked.to, limit: asked.limit, before: None };
    let candles = broker.exchange.candles(market.clone(), asked.interval.interval(), past).await?;
    let candles: Vec<Value> = candles.iter().map(candle).collect();
    Ok(Json(json!({"market": market, "interval": asked.interval.as_str(), "candles": candles})))
}

fn candle(candle: &Candle) -> Value {
    json!({
        "at": candle.at.to_string(),
        "open": candle.open.map(decimal),
        "high": candle.high.map(decimal),
        "low": candle.low.map(decimal),
        "close": candle.close.map(decimal),
        "gb_seconds": energy(Exact::from_str_exact(&candle.energy_mb_ms).unwrap_or_default()),
        "trades": candle.trades,
    })
}
