//! Market data: markets, books, trades.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use merit_proto::v1;
use serde::Deserialize;
use serde_json::{Value, json};

use super::market_terms;
use crate::error::ApiError;
use crate::exchange::answer;
use crate::guard::DEV;
use crate::json::{decimal, trade};
use crate::serve::State as Broker;

pub(crate) async fn list(State(broker): State<Arc<Broker>>) -> Result<Json<Value>, ApiError> {
    let mut client = broker.exchange.market_data.clone();
    let listed = answer(client.list_markets(v1::ListMarketsRequest {})).await?;
    let mut registry = broker.exchange.registry.clone();
    let allowed = answer(registry.list_market_terms(v1::ListMarketTermsRequest {})).await?;
    let markets = listed.markets.iter().map(|market| {
        let terms = allowed.markets.iter().find(|allowed| allowed.name == market.name);
        let mut told = json!({
            "market": market.name,
            "state": market.state,
            "spot_price": market.spot_price.map(decimal),
            "offers": market.offers,
            "capacity_mb": market.capacity_mb,
            "free_mb": market.free_mb,
            "trades": market.trades,
        });
        market_terms::tell(&mut told, &terms.and_then(|allowed| allowed.terms).unwrap_or_default());
        told
    });
    Ok(Json(json!({"markets": markets.collect::<Vec<_>>()})))
}

pub(crate) async fn book(
    State(broker): State<Arc<Broker>>,
    Path((region, class)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let mut client = broker.exchange.market_data.clone();
    let book = answer(client.get_book(v1::GetBookRequest { market: format!("{region}/{class}") })).await?;
    Ok(Json(book_json(&book)))
}

/// A price level: what is offered at one price.
#[derive(Default)]
struct Level {
    capacity_mb: u64,
    free_mb: u64,
    offers: u32,
}

fn book_json(book: &v1::BookSnapshot) -> Value {
    let mut levels: BTreeMap<u64, Level> = BTreeMap::new();
    for offer in &book.offers {
        let level = levels.entry(offer.price).or_default();
        level.capacity_mb += offer.capacity_mb;
        level.free_mb += offer.free_mb;
        level.offers += 1;
    }
    let levels = levels.into_iter().map(|(price, level)| {
        json!({"price": decimal(price), "capacity_mb": level.capacity_mb, "free_mb": level.free_mb, "offers": level.offers})
    });
    json!({
        "market": book.market,
        "sequence": book.sequence,
        "checksum": book.checksum,
        "state": book.state,
        "spot_price": book.spot_price.map(decimal),
        "offers": levels.collect::<Vec<_>>(),
        "bids": [],
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paging {
    limit: Option<u32>,
}

pub(crate) async fn trades(
    State(broker): State<Arc<Broker>>,
    Path((region, class)): Path<(String, String)>,
    paging: Result<Query<Paging>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(paging) = paging.map_err(|error| ApiError::malformed(error.to_string()))?;
    let mut client = broker.exchange.market_data.clone();
    let request = v1::ListTradesRequest {
        market: format!("{region}/{class}"),
        limit: paging.limit.unwrap_or_default(),
        account: DEV.to_owned(),
    };
    let listed = answer(client.list_trades(request)).await?;
    Ok(Json(json!({"trades": listed.trades.iter().map(trade).collect::<Vec<_>>()})))
}
