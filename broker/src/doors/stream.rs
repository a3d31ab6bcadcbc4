//! The market as server-sent events: a snapshot, then deltas and trades, with sequence numbers.
//!
//! A client that comes back gets a new snapshot.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::sse::{Event as Sse, Sse as Stream};
use futures_util::{Stream as Events, StreamExt, stream};
use merit_proto::v1;
use merit_proto::v1::market_event::Event;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::exchange::answer;
use crate::json::{decimal, offer, time, trade};
use crate::serve::State as Broker;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Markets {
    /// Names, separated by commas; none: all.
    markets: Option<String>,
}

pub(crate) async fn get(
    State(broker): State<Arc<Broker>>,
    markets: Result<Query<Markets>, axum::extract::rejection::QueryRejection>,
) -> Result<Stream<impl Events<Item = Result<Sse, axum::Error>>>, ApiError> {
    let Query(asked) = markets.map_err(|error| ApiError::malformed(error.to_string()))?;
    let asked = asked.markets.unwrap_or_default();
    let markets = asked.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let mut client = broker.exchange.market_data.clone();
    let events = answer(client.subscribe(v1::SubscribeRequest { markets })).await?;
    let stopping = broker.stopping.clone();
    let sent = events.take_until(async move { stopping.cancelled().await }).filter_map(|event| async {
        // A stream that breaks ends the answer: the page subscribes again.
        let event = event.ok()?.event?;
        Some(sse(&event))
    });
    // Browsers wait this long before they come back.
    let retry = stream::iter([Ok(Sse::default().retry(std::time::Duration::from_secs(1)))]);
    Ok(Stream::new(retry.chain(sent)))
}

fn sse(event: &Event) -> Result<Sse, axum::Error> {
    let (name, id, data) = match event {
        Event::Snapshot(snapshot) => ("snapshot", Some(snapshot.sequence), snapshot_json(snapshot)),
        Event::Delta(delta) => ("delta", Some(delta.seq), delta_json(delta)),
        Event::Trade(traded) => {
            let mut data = trade(traded);
            data["market"] = json!(traded.market);
            data["spot_price"] = json!(traded.spot_price.map(decimal));
            ("trade", Some(traded.sequence), data)
        }
        Event::Heartbeat(heartbeat) => ("heartbeat", None, json!({"at": time(heartbeat.at)})),
    };
    let sse = Sse::default().event(name).json_data(data)?;
    Ok(match id {
        Some(id) => sse.id(id.to_string()),
        None => sse,
    })
}

fn snapshot_json(snapshot: &v1::BookSnapshot) -> Value {
    json!({
        "market": snapshot.market,
        "sequence": snapshot.sequence,
        "checksum": snapshot.checksum,
        "state": snapshot.state,
        "spot_price": snapshot.spot_price.map(decimal),
        "offers": snapshot.offers.iter().map(offer).collect::<Vec<_>>(),
        "trades": snapshot.trades.iter().map(trade).collect::<Vec<_>>(),
    })
}

fn delta_json(delta: &v1::BookDelta) -> Value {
    json!({
        "market": delta.market,
        "prev_seq": delta.prev_seq,
        "seq": delta.seq,
        "offers": delta.offers.iter().map(offer).collect::<Vec<_>>(),
    })
}
