//! Markets and their books.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::market_terms;
use super::rows::{JsonAnswer, bid_level};
use crate::broker::Broker;
use crate::doors::names::path_market;
use crate::doors::request::Path;
use crate::exchange::markets::Book;
use crate::json::decimal;

pub(crate) async fn list(State(broker): State<Arc<Broker>>) -> JsonAnswer {
    let markets = broker.exchange.markets().await?;
    let markets = markets.iter().map(|market| {
        let mut told = json!({
            "market": market.name,
            "spot_price": market.spot_price.map(decimal),
            "last_price": market.last_price.map(decimal),
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
) -> JsonAnswer {
    Ok(Json(book_json(&broker.exchange.book(path_market(&region, &class)?).await?)))
}

/// The offers at one price.
#[derive(Default)]
struct OfferLevel {
    capacity_mb: u64,
    free_mb: u64,
    offers: u32,
}

fn book_json(book: &Book) -> Value {
    let mut levels: BTreeMap<u64, OfferLevel> = BTreeMap::new();
    for offer in &book.offers {
        let level = levels.entry(offer.price).or_default();
        level.capacity_mb += offer.capacity_mb;
        level.free_mb += offer.free_mb;
        level.offers += 1;
    }
    let levels = levels.into_iter().map(|(price, level)| {
        let OfferLevel { capacity_mb, free_mb, offers } = level;
        json!({"price": decimal(price), "capacity_mb": capacity_mb, "free_mb": free_mb, "offers": offers})
    });
    let mut told = json!({
        "market": book.market,
        "sequence": book.sequence,
        "checksum": book.checksum,
        "spot_price": book.spot_price.map(decimal),
        "last_price": book.last_price.map(decimal),
        "offers": levels.collect::<Vec<_>>(),
        "bids": book.bids.iter().map(bid_level).collect::<Vec<_>>(),
    });
    market_terms::tell(&mut told, book.terms);
    told
}
