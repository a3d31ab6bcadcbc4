//! The market as server-sent events: a snapshot, then deltas, trades and states, with sequence numbers.
//!
//! A client that comes back with the id of the last event goes on from there, if the exchange still has what came
//! since; else it gets a new snapshot. An event without an id leaves the id before it: a client that comes back
//! from between two parts of one change gets both.

use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event as Sse, Sse as Stream};
use futures_util::{Stream as Events, StreamExt, stream};
use http::request::Parts;
use merit_proto::v1;
use merit_proto::v1::market_event::Event;
use serde::Deserialize;
use serde_json::{Value, json};

use super::market_terms;
use crate::doors::request::Query;
use crate::error::ApiError;
use crate::exchange::clients::answer;
use crate::json::{bid_level, decimal, offer, time, trade};
use crate::quota::shares::Holder;
use crate::server::State as Broker;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Markets {
    /// Names, separated by commas; none: all.
    markets: Option<String>,
}

/// The header by which a browser that comes back says what it heard last.
const LAST_EVENT_ID: &str = "last-event-id";

pub(crate) async fn get(
    State(broker): State<Arc<Broker>>,
    Query(asked): Query<Markets>,
    parts: Parts,
) -> Result<Stream<impl Events<Item = Result<Sse, axum::Error>>>, ApiError> {
    let asked = asked.markets.unwrap_or_default();
    let markets = asked.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let mut client = broker.exchange.market_data.clone();
    let subscription = broker.subscribe(Holder::of(&parts))?;
    let last = parts.headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    // Another's id is none of ours: a snapshot makes up for it.
    let after = last.and_then(|id| id.parse().ok()).unwrap_or(0);
    let events = answer(client.subscribe(v1::SubscribeRequest { markets, after })).await?;
    let stopping = broker.stopping.clone();
    let sent = events.take_until(async move { stopping.cancelled().await }).filter_map(|event| async {
        // A stream that breaks ends the answer: the page subscribes again.
        let event = event.ok()?;
        Some(sse(event.event.as_ref()?, event.resume))
    });
    // Browsers wait this long before they come back.
    let retry = stream::iter([Ok(Sse::default().retry(std::time::Duration::from_secs(1)))]);
    let told = retry.chain(sent).map(move |event| {
        // Counted for as long as it is read.
        let _subscription = &subscription;
        event
    });
    Ok(Stream::new(told))
}

fn sse(event: &Event, resume: u64) -> Result<Sse, axum::Error> {
    let (name, data) = match event {
        Event::Snapshot(snapshot) => ("snapshot", snapshot_json(snapshot)),
        Event::Delta(delta) => ("delta", delta_json(delta)),
        Event::Trade(traded) => {
            let mut data = trade(traded);
            data["market"] = json!(traded.market);
            data["spot_price"] = json!(traded.spot_price.map(decimal));
            ("trade", data)
        }
        Event::State(changed) => {
            let mut data = json!({"market": changed.market, "sequence": changed.sequence});
            market_terms::tell(&mut data, changed.terms);
            ("state", data)
        }
        Event::Heartbeat(heartbeat) => ("heartbeat", json!({"at": time(heartbeat.at)})),
    };
    let sse = Sse::default().event(name).json_data(data)?;
    Ok(if resume > 0 { sse.id(resume.to_string()) } else { sse })
}

fn snapshot_json(snapshot: &v1::BookSnapshot) -> Value {
    let mut told = json!({
        "market": snapshot.market,
        "sequence": snapshot.sequence,
        "checksum": snapshot.checksum,
        "spot_price": snapshot.spot_price.map(decimal),
        "offers": snapshot.offers.iter().map(offer).collect::<Vec<_>>(),
        "bids": snapshot.bids.iter().map(bid_level).collect::<Vec<_>>(),
        "trades": snapshot.trades.iter().map(trade).collect::<Vec<_>>(),
    });
    market_terms::tell(&mut told, snapshot.terms);
    told
}

fn delta_json(delta: &v1::BookDelta) -> Value {
    json!({
        "market": delta.market,
        "prev_seq": delta.prev_seq,
        "seq": delta.seq,
        "checksum": delta.checksum,
        "offers": delta.offers.iter().map(offer).collect::<Vec<_>>(),
        "bids": delta.bids.iter().map(bid_level).collect::<Vec<_>>(),
    })
}
