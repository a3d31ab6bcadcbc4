//! The market as server-sent events: a snapshot, then deltas, trades and states, with sequence numbers.
//!
//! A client that comes back with the id of the last event resumes there, if the exchange still has what came since;
//! else it gets a new snapshot. An event without an id leaves the id before it: a client that comes back from between
//! two parts of one change gets both.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event as Sse, Sse as SseAnswer};
use futures_util::{Stream, StreamExt, stream};
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};

use super::market_terms;
use super::rows::{bid_level, offer, trade};
use crate::broker::Broker;
use crate::caller::holder;
use crate::doors::request::Query;
use crate::error::ApiError;
use crate::exchange::markets::Book;
use crate::exchange::stream::{BookDelta, MarketChange, MarketEvent};
use crate::json::decimal;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarketsQuery {
    /// Names, separated by commas; none for all.
    markets: Option<String>,
}

/// Header with the id of the last event, from a browser that comes back.
const LAST_EVENT_ID: &str = "last-event-id";

pub(crate) async fn get(
    State(broker): State<Arc<Broker>>,
    Query(asked): Query<MarketsQuery>,
    parts: Parts,
) -> Result<SseAnswer<impl Stream<Item = Result<Sse, axum::Error>>>, ApiError> {
    let asked = asked.markets.unwrap_or_default();
    let markets = asked.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let subscription = broker.admission.stream(holder(&parts))?;
    let last = parts.headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    // An id that is no number is another server's: begin with a snapshot.
    let after = last.and_then(|id| id.parse().ok()).unwrap_or(0);
    let events = broker.exchange.subscribe(markets, after).await?;
    let stopping = broker.stopping.clone();
    let sent = events.take_until(async move { stopping.cancelled().await }).map(|event| sse(&event));
    // The back-off of browsers before they come back.
    let retry = stream::iter([Ok(Sse::default().retry(Duration::from_secs(1)))]);
    let told = retry.chain(sent).map(move |event| {
        // The room is held for as long as the stream is read.
        let _subscription = &subscription;
        event
    });
    Ok(SseAnswer::new(told))
}

fn sse(event: &MarketEvent) -> Result<Sse, axum::Error> {
    let (name, data) = match &event.change {
        MarketChange::Snapshot(snapshot) => ("snapshot", snapshot_json(snapshot)),
        MarketChange::Delta(delta) => ("delta", delta_json(delta)),
        MarketChange::Trade(traded) => {
            let mut data = trade(traded);
            data["market"] = json!(traded.market);
            data["last_price"] = json!(traded.last_price.map(decimal));
            ("trade", data)
        }
        MarketChange::State { market, sequence, terms, spot_price, at } => {
            let mut data = json!({
                "market": market,
                "sequence": sequence,
                "at": at.to_string(),
                "spot_price": spot_price.map(decimal),
            });
            market_terms::tell(&mut data, *terms);
            ("state", data)
        }
        MarketChange::Heartbeat(at) => ("heartbeat", json!({"at": at.to_string()})),
    };
    let sse = Sse::default().event(name).json_data(data)?;
    Ok(match event.resume {
        Some(resume) => sse.id(resume.to_string()),
        None => sse,
    })
}

fn snapshot_json(snapshot: &Book) -> Value {
    let mut told = json!({
        "market": snapshot.market,
        "sequence": snapshot.sequence,
        "checksum": snapshot.checksum,
        "spot_price": snapshot.spot_price.map(decimal),
        "last_price": snapshot.last_price.map(decimal),
        "offers": snapshot.offers.iter().map(offer).collect::<Vec<_>>(),
        "bids": snapshot.bids.iter().map(bid_level).collect::<Vec<_>>(),
        "trades": snapshot.trades.iter().map(trade).collect::<Vec<_>>(),
    });
    market_terms::tell(&mut told, snapshot.terms);
    told
}

fn delta_json(delta: &BookDelta) -> Value {
    json!({
        "market": delta.market,
        "prev_seq": delta.prev_seq,
        "seq": delta.seq,
        "checksum": delta.checksum,
        "spot_price": delta.spot_price.map(decimal),
        "at": delta.at.to_string(),
        "offers": delta.offers.iter().map(offer).collect::<Vec<_>>(),
        "bids": delta.bids.iter().map(bid_level).collect::<Vec<_>>(),
    })
}
