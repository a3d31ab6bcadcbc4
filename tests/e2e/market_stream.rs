//! The stream of the market: snapshots, deltas, trades and states, and the resumption of readers.

use http::Method;
use merit_proto::v1;
use merit_proto::v1::market_data_client::MarketDataClient;
use merit_proto::v1::market_event::Event;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::Code;

use crate::events::Events;
use crate::in_both_shapes;
use crate::market::{Market, Shape};
use crate::process::PATIENCE;
use crate::raw_session::{RawSession, logon};
use crate::seller::{Seller, rung};

in_both_shapes! {
    a_stream_begins_with_a_snapshot_and_tells_every_change
    a_reader_that_comes_back_goes_on_where_it_was
}

async fn set(market: &Market, name: &str, terms: Value) {
    let answer = market.call(Method::PUT, &format!("/v1/markets/{name}"), &[], terms.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn a_stream_begins_with_a_snapshot_and_tells_every_change(shape: Shape) {
    let market = Market::start(shape).await;
    let mut all = Events::open(&format!("{}/v1/stream", market.http), None).await;
    let mut other = Events::open(&format!("{}/v1/stream?markets=local/wasm", market.http), None).await;
    for events in [&mut all, &mut other] {
        let first = events.next().await;
        assert_eq!((first.name.as_str(), &first.data["market"]), ("snapshot", &json!("local/wasm")));
        assert_eq!((&first.data["offers"], &first.data["bids"]), (&json!([]), &json!([])));
        assert_eq!((&first.data["state"], &first.data["bands"]), (&json!("open"), &Value::Null));
    }

    // A market made while somebody watches all of them.
    let made = json!({"market": "eu-west/wasm"}).to_string();
    assert_eq!(market.call(Method::POST, "/v1/markets", &[], made).await.status, 200);
    let made = all.next().await;
    assert_eq!((made.name.as_str(), &made.data["market"]), ("snapshot", &json!("eu-west/wasm")));
    let mut sequence = made.data["sequence"].clone();

    let mut seller = Seller::start(&market, "seller", 1024, 4).await;
    seller.quote("eu-west/wasm", vec![rung(1, 512, 1_000_000), rung(2, 1024, 2_000_000)]).await;
    let delta = all.until("delta", |data| data["market"] == "eu-west/wasm").await;
    assert_eq!(delta["prev_seq"], sequence);
    let offered: Vec<(u64, u64)> = delta["offers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|offer| (offer["capacity_mb"].as_u64().unwrap(), offer["free_mb"].as_u64().unwrap()))
        .collect();
    assert_eq!(offered, [(512, 512), (1024, 1024)]);
    sequence = delta["seq"].clone();
    let book = market.get("/v1/markets/eu-west/wasm/book").await.json();
    assert_eq!((&book["sequence"], &book["checksum"]), (&delta["seq"], &delta["checksum"]));

    let bands = json!({"low": "0.000001", "high": "0.1"});
    set(&market, "eu-west/wasm", json!({"state": "halted", "bands": bands})).await;
    let state = all.until("state", |data| data["market"] == "eu-west/wasm").await;
    assert_eq!((&state["state"], &state["bands"]), (&json!("halted"), &bands));
    assert_eq!(market.get("/v1/markets/eu-west/wasm/book").await.json()["state"], "halted");
    set(&market, "eu-west/wasm", json!({})).await;
    all.until("state", |data| data["state"] == "open").await;

    market.deploy("echo", json!({"markets": ["eu-west/wasm"]})).await;
    // The seller takes this for a duration in ms.
    let answer = market.invoke("echo", "1").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    loop {
        let heard = all.next().await;
        match heard.name.as_str() {
            "delta" => {
                assert_eq!(heard.data["prev_seq"], sequence, "a gap");
                sequence = heard.data["seq"].clone();
            }
            "trade" => {
                assert_eq!(heard.data["price"], heard.data["last_price"]);
                break;
            }
            _ => panic!("{heard:?}"),
        }
    }

    // A reader of one market hears of no other, and has heard of its last change.
    seller.quote("local/wasm", vec![rung(1, 64, 1_000_000)]).await;
    let only = other.next().await;
    assert_eq!((only.name.as_str(), &only.data["market"]), ("delta", &json!("local/wasm")));
    market.stop().await;
}

async fn a_reader_that_comes_back_goes_on_where_it_was(shape: Shape) {
    let market = Market::start(shape).await;
    let url = format!("{}/v1/stream?markets=local/wasm", market.http);
    let mut seller = Seller::start(&market, "seller", 4096, 4).await;
    seller.quote("local/wasm", vec![rung(1, 64, 1_000_000)]).await;
    let mut events = Events::open(&url, None).await;
    let mut sequence = events.until("snapshot", |_| true).await["sequence"].clone();
    for round in 0..5 {
        let last_id = events.last_id.clone().expect("every whole change has an id");
        drop(events);
        // Changes in between are told afterwards.
        seller.quote("local/wasm", vec![rung(1, 128 + round, 1_000_000)]).await;
        events = Events::open(&url, Some(&last_id)).await;
        let next = events.next().await;
        assert_eq!((next.name.as_str(), &next.data["prev_seq"]), ("delta", &sequence), "round {round}");
        assert_eq!(next.data["offers"][0]["capacity_mb"], 128 + round);
        sequence = next.data["seq"].clone();
    }
    // An unknown id costs a snapshot.
    for id in ["18446744073709551615", "never", ""] {
        let mut events = Events::open(&url, Some(id)).await;
        let first = events.next().await;
        assert_eq!((first.name.as_str(), &first.data["sequence"]), ("snapshot", &sequence), "id `{id}`");
    }
    market.stop().await;
}

/// Checks that unread messages are kept for a while, and that nobody waits for their reader.
#[tokio::test]
async fn a_reader_that_does_not_read_is_cut_off() {
    let market = Market::start(Shape::AllInOne).await;
    let subscribe = async || {
        let mut client = MarketDataClient::connect(market.grpc.clone()).await.unwrap();
        client.subscribe(v1::SubscribeRequest::default()).await.unwrap().into_inner()
    };
    let mut reader = subscribe().await;
    // Each quote changes every rung: far more than the buffer and the connection hold.
    let mut sellers = JoinSet::new();
    for number in 0..8 {
        let mut session = RawSession::start(&market, logon(&format!("seller-{number}"))).await;
        sellers.spawn(async move {
            for round in 0..500 {
                let rungs = (1..=64).map(|id| rung(id, 16, 1_000_000 + round * 64 + u64::from(id))).collect();
                session.quote("local/wasm", rungs).await;
            }
            session
        });
    }
    let _sellers = sellers.join_all().await;
    let ended = loop {
        match tokio::time::timeout(PATIENCE, reader.message()).await.expect("the stream goes on or ends") {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended without a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::ResourceExhausted, "{ended:?}");
    assert!(ended.message().contains("subscribe again"), "{ended:?}");
    let again = subscribe().await.message().await.unwrap().unwrap().event;
    assert!(matches!(again, Some(Event::Snapshot(snapshot)) if snapshot.offers.len() == 512));
    market.stop().await;
}
