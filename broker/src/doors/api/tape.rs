//! What a market traded: its trades, and its candles.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use merit_proto::v1;
use merit_terms::Time;
use rust_decimal::Decimal as Exact;
use serde::Deserialize;
use serde_json::{Value, json};

use super::span::{Span, check, micros};
use crate::caller::SeenBy;
use crate::doors::path_market;
use crate::doors::request::{Path, Query};
use crate::error::ApiError;
use crate::exchange::clients::answer;
use crate::json::{decimal, energy, time, trade};
use crate::server::State as Broker;

const TRADES_MAX: u32 = 1_000;
const CANDLES_MAX: u32 = 1_500;

pub(crate) async fn trades(
    State(broker): State<Arc<Broker>>,
    seen_by: SeenBy,
    Path((region, class)): Path<(String, String)>,
    Query(span): Query<Span>,
) -> Result<Json<Value>, ApiError> {
    let span = span.checked(TRADES_MAX)?;
    let mut client = broker.exchange.market_data.clone();
    let request = v1::ListTradesRequest {
        market: path_market(&region, &class)?,
        limit: span.limit(),
        account: seen_by.account().to_owned(),
        from: micros(span.from),
        to: micros(span.to),
        before: span.before.unwrap_or(0),
    };
    let listed = answer(client.list_trades(request)).await?;
    Ok(Json(json!({"trades": listed.trades.iter().map(trade).collect::<Vec<_>>()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Candles {
    #[serde(default)]
    interval: Interval,
    from: Option<Time>,
    to: Option<Time>,
    limit: Option<u32>,
}

#[derive(Clone, Copy, Default, Deserialize)]
enum Interval {
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

impl Interval {
    const fn as_str(self) -> &'static str {
        match self {
            Interval::Second => "1s",
            Interval::Minute => "1m",
            Interval::Hour => "1h",
            Interval::Day => "1d",
        }
    }

    fn message(self) -> v1::Interval {
        match self {
            Interval::Second => v1::Interval::Second,
            Interval::Minute => v1::Interval::Minute,
            Interval::Hour => v1::Interval::Hour,
            Interval::Day => v1::Interval::Day,
        }
    }
}

pub(crate) async fn candles(
    State(broker): State<Arc<Broker>>,
    Path((region, class)): Path<(String, String)>,
    Query(asked): Query<Candles>,
) -> Result<Json<Value>, ApiError> {
    check(asked.from, asked.to, asked.limit, CANDLES_MAX)?;
    let market = path_market(&region, &class)?;
    let mut client = broker.exchange.market_data.clone();
    let request = v1::ListCandlesRequest {
        market: market.clone(),
        interval: asked.interval.message().into(),
        from: micros(asked.from),
        to: micros(asked.to),
        limit: asked.limit.unwrap_or(0),
    };
    let listed = answer(client.list_candles(request)).await?;
    let candles: Vec<Value> = listed.candles.iter().map(candle).collect();
    Ok(Json(json!({"market": market, "interval": asked.interval.as_str(), "candles": candles})))
}

fn candle(candle: &v1::Candle) -> Value {
    json!({
        "at": time(candle.at),
        "open": candle.open.map(decimal),
        "high": candle.high.map(decimal),
        "low": candle.low.map(decimal),
        "close": candle.close.map(decimal),
        "gb_seconds": energy(Exact::from_str_exact(&candle.energy_mb_ms).unwrap_or_default()),
        "trades": candle.trades,
    })
}
