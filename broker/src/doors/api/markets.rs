//! Market data: markets and their books.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use merit_proto::v1;
use serde_json::{Value, json};

use super::market_terms;
use crate::doors::path_market;
use crate::doors::request::Path;
use crate::error::ApiError;
use crate::exchange::clients::answer;
use crate::json::{bid_level, decimal};
use crate::server::State as Broker;

pub(crate) async fn list(State(broker): State<Arc<Broker>>) -> Result<Json<Value>, ApiError> {
    let mut client = broker.exchange.market_data.clone();
    let listed = answer(client.list_markets(v1::ListMarketsRequest {})).await?;
    let markets = listed.markets.iter().map(|market| {
        let mut told = json!({
            "market": market.name,
            "spot_price": market.spot_price.map(decimal),
            "offers": market.offers,
            "capacity_mb": market.capacity_mb,
            "free_mb": market.free_mb,
            "bids": market.bids,
            "trades": market.trades,
        });
        market_terms::tell(&mut told, market.terms);
        told
    });
    Ok(Json(json!({"markets": markets.collect::<Vec<_>>()})))
}

pub(crate) async fn book(
    State(broker): State<Arc<Broker>>,
    Path((region, class)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let mut client = broker.exchange.market_data.clone();
    let book = answer(client.get_book(v1::GetBookRequest { market: path_market(&region, &class)? })).await?;
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
    let mut told = json!({
        "market": book.market,
        "sequence": book.sequence,
        "checksum": book.checksum,
        "spot_price": book.spot_price.map(decimal),
        "offers": levels.collect::<Vec<_>>(),
        "bids": book.bids.iter().map(bid_level).collect::<Vec<_>>(),
    });
    market_terms::tell(&mut told, book.terms);
    told
}
