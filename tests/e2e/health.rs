//! Health: a provider's own failures in a row send it behind the others for a while, seen by all; other failures do
//! not.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::in_both_shapes;
use crate::market::{Market, Shape};
use crate::process::eventually;
use crate::raw_session::{RawSession, logon};
use crate::seller::{Seller, rung};

in_both_shapes! {
    a_provider_that_does_not_accept_connections_goes_behind
    a_broken_connection_only_moves_the_call_elsewhere
    one_that_is_behind_is_used_where_no_other_is
    failing_three_functions_takes_a_provider_out_until_a_trial
    a_provider_that_is_full_is_not_left_out
    a_caller_that_gives_up_says_nothing_of_the_provider
}

/// A price at which a provider is tried although its calls fail.
const CHEAP: u64 = 1_000;

/// Returns a provider's back-offs.
async fn health(market: &Market, name: &str) -> Vec<Value> {
    let listed = market.get("/v1/providers").await.json();
    let listed = listed["providers"].as_array().unwrap();
    let provider = listed.iter().find(|provider| provider["name"] == name).unwrap();
    provider["health"].as_array().unwrap().clone()
}

/// Starts a market with a provider that serves, and a cheaper one at an endpoint.
async fn market_with(shape: Shape, endpoint: String) -> (Market, Seller, RawSession) {
    let market = Market::start(shape).await;
    market.deploy("echo", json!({})).await;
    let mut dear = Seller::start(&market, "dear", 1024, 4).await;
    dear.quote("local/wasm", vec![rung(1, 1024, 2_000_000)]).await;
    let mut cheap = RawSession::start(&market, merit_proto::v1::Logon { endpoint, ..logon("cheap") }).await;
    cheap.quote("local/wasm", vec![rung(1, 1024, CHEAP)]).await;
    (market, dear, cheap)
}

/// Calls a function. Returns who served it, at which attempt.
async fn served(market: &Market, function: &str) -> [String; 2] {
    let answer = market.invoke(function, "1").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    ["merit-provider", "merit-attempts"].map(|name| answer.header(name).to_owned())
}

/// Checks that one failure or two move the call elsewhere, and that after the third no call goes there first.
async fn check_goes_behind(market: &Market) {
    for attempts in ["2", "2", "2", "1"] {
        assert_eq!(served(market, "echo").await, ["dear", attempts]);
    }
    let health = health(market, "cheap").await;
    assert_eq!((&health[0]["function"], &health[0]["revision"]), (&json!("echo"), &json!(2)), "{health:?}");
    assert_eq!(health[0]["failures"], 3);
    assert!(health[0]["until"].as_str().unwrap().ends_with('Z'), "{health:?}");
}

async fn a_provider_that_does_not_accept_connections_goes_behind(shape: Shape) {
    let (market, _dear, _cheap) = market_with(shape, "http://127.0.0.1:1".to_owned()).await;
    check_goes_behind(&market).await;
    market.stop().await;
}

async fn a_broken_connection_only_moves_the_call_elsewhere(shape: Shape) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            // It resets after something has come, so that the caller cannot know whether it was heard.
            connection.readable().await.unwrap();
        }
    });
    let (market, _dear, _cheap) = market_with(shape, endpoint).await;
    assert_eq!(served(&market, "echo").await, ["dear", "2"]);
    assert_eq!(health(&market, "cheap").await, [] as [Value; 0]);
    market.stop().await;
}

async fn one_that_is_behind_is_used_where_no_other_is(shape: Shape) {
    let (market, dear, cheap) = market_with(shape, "http://127.0.0.1:1".to_owned()).await;
    check_goes_behind(&market).await;
    drop(dear);
    market.until_offers_of("dear", false).await;
    eventually("it is tried", || async { (market.invoke("echo", "1").await.status == 502).then_some(()) }).await;
    drop(cheap);
    market.until_offers_of("cheap", false).await;
    let mut cheap = Seller::start(&market, "cheap", 1024, 4).await;
    cheap.quote("local/wasm", vec![rung(1, 1024, CHEAP)]).await;
    eventually("it serves again", || async { (market.invoke("echo", "1").await.status == 200).then_some(()) }).await;
    assert_eq!(health(&market, "cheap").await, [] as [Value; 0]);
    market.stop().await;
}

async fn failing_three_functions_takes_a_provider_out_until_a_trial(shape: Shape) {
    let (market, _dear, cheap) = market_with(shape, "http://127.0.0.1:1".to_owned()).await;
    for function in ["echo", "sha256", "wordcount", "wait"] {
        market.deploy(function, json!({})).await;
    }
    let check_served = async |function: &str, provider: &str, attempts: &str| {
        assert_eq!(served(&market, function).await, [provider, attempts], "{function}");
    };
    for function in ["echo", "sha256", "wordcount"] {
        for _ in 0..3 {
            check_served(function, "dear", "2").await;
        }
    }
    // It gets no call of a fourth function.
    check_served("wait", "dear", "1").await;
    let out = health(&market, "cheap").await;
    assert!(out.iter().any(|entry| entry["function"] == Value::Null && entry["failures"] == 1), "{out:?}");

    // It comes back at an endpoint that is there.
    drop(cheap);
    market.until_offers_of("cheap", false).await;
    let mut cheap = Seller::start(&market, "cheap", 1024, 4).await;
    cheap.quote("local/wasm", vec![rung(1, 1024, CHEAP)]).await;
    eventually("a trial goes there", || async {
        (market.invoke("wait", "1").await.header("merit-provider") == "cheap").then_some(())
    })
    .await;
    assert_eq!(health(&market, "cheap").await, [] as [Value; 0]);
    for function in ["echo", "sha256", "wordcount"] {
        check_served(function, "cheap", "1").await;
    }
    market.stop().await;
}

async fn a_provider_that_is_full_is_not_left_out(shape: Shape) {
    let market = Market::start(shape).await;
    market.deploy("wait", json!({})).await;
    // One slot for two calls.
    let _edge = market.provider("edge-1", &["--slots", "1"]).await;
    let (first, second) = tokio::join!(market.invoke("wait", "300"), market.invoke("wait", "300"));
    let mut codes = [first, second].map(|answer| answer.status.as_u16());
    codes.sort_unstable();
    assert_eq!(codes, [200, 429]);
    assert_eq!(health(&market, "edge-1").await, [] as [Value; 0]);
    market.stop().await;
}

async fn a_caller_that_gives_up_says_nothing_of_the_provider(shape: Shape) {
    let market = Market::start(shape).await;
    market.deploy("echo", json!({})).await;
    let mut seller = Seller::start(&market, "seller", 1024, 4).await;
    seller.quote("local/wasm", vec![rung(1, 1024, 1_000_000)]).await;
    let answer = market.invoke_with("echo", &[("merit-deadline", "+1s")], "held").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (504, "timeout"), "{answer:?}");
    assert_eq!(answer.json()["error"]["details"]["execution"], "unknown");
    assert_eq!(health(&market, "seller").await, [] as [Value; 0]);
    seller.open();
    market.stop().await;
}
