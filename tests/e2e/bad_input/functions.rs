//! Functions that fail: each is named, charged for the time that it ran, and harms no provider.

use std::time::{Duration, Instant};

use http::Method;
use merit_terms::Money;
use serde_json::json;

use super::{assert_refused, assert_unharmed, hostile, market};
use crate::in_both_shapes;
use crate::market::{Market, Shape};
use crate::process::eventually;

in_both_shapes! {
    a_function_that_fails_is_told_from_one_that_answers
    an_endless_function_is_stopped_at_its_timeout
    a_deadline_ends_the_wait
    a_caller_that_goes_away_is_still_charged
}

async fn a_function_that_fails_is_told_from_one_that_answers(shape: Shape) {
    let (market, _edge) = market(shape).await;
    let failing = [
        ("exit_3", "exit"),
        ("trap", "trap"),
        ("recurse", "trap"),
        ("random_huge", "trap"),
        ("poll_many", "trap"),
        ("grow", "out_of_memory"),
        ("born_big", "out_of_memory"),
        ("flood_output", "output_limit"),
    ];
    for (name, reason) in failing {
        let memory_mb = if reason == "out_of_memory" { 64 } else { 128 };
        market.deploy_module(name, hostile(name), json!({"memory_mb": memory_mb})).await;
        let answer = market.invoke(name, "").await;
        assert_refused(&answer, 500, "function_failed", &[&format!("({reason})"), "charged"]);
        assert_eq!(answer.json()["error"]["details"]["reason"], reason, "{name}");
        assert_charged(&market, &answer, reason).await;
    }
    assert_unharmed(&market).await;
    market.stop().await;
}

/// Asserts that the answer's cost is above zero and stands in the record.
async fn assert_charged(market: &Market, answer: &crate::market::Answer, outcome: &str) {
    let cost: Money = answer.header("merit-cost").parse().unwrap();
    assert!(cost > Money::ZERO, "{answer:?}");
    let id = answer.header("merit-invocation-id");
    assert_eq!(answer.json()["error"]["invocation_id"], id);
    let record = market.get(&format!("/v1/invocations/{id}")).await.json();
    assert_eq!((&record["state"], &record["outcome"]), (&json!("settled"), &json!(outcome)), "{record}");
    assert_eq!(record["cost"], cost.to_string());
}

async fn an_endless_function_is_stopped_at_its_timeout(shape: Shape) {
    let (market, _edge) = market(shape).await;
    for name in ["loop", "sleep_an_hour"] {
        market.deploy_module(name, hostile(name), json!({"timeout_ms": 300})).await;
        let asked = Instant::now();
        let answer = market.invoke(name, "").await;
        assert!(asked.elapsed() < Duration::from_secs(5), "{name} took {:?}", asked.elapsed());
        assert_refused(&answer, 504, "timeout", &["300 ms", "charged"]);
        assert_eq!(answer.json()["error"]["details"]["reason"], "function", "{name}");
        // Its cold start is part of the timeout, and this provider does not bill it.
        assert!(answer.header("merit-billed-ms").parse::<u64>().unwrap() <= 300, "{name}");
        assert_charged(&market, &answer, "timeout").await;
    }
    assert_unharmed(&market).await;
    market.stop().await;
}

async fn a_deadline_ends_the_wait(shape: Shape) {
    let (market, _edge) = market(shape).await;
    market.deploy("wait", json!({"timeout_ms": 2000})).await;
    let asked = Instant::now();
    let answer = market.invoke_with("wait", &[("merit-deadline", "+200ms")], "5000").await;
    let took = asked.elapsed();
    assert!((Duration::from_millis(200)..Duration::from_millis(1500)).contains(&took), "{took:?}");
    assert_refused(&answer, 504, "timeout", &["deadline"]);
    assert_eq!(answer.json()["error"]["details"]["reason"], "deadline", "{answer:?}");
    // It ran: its provider claims the time, and its hold returns.
    eventually("nothing is held", || async {
        (market.get("/v1/accounts/dev").await.json()["held"] == "0").then_some(())
    })
    .await;
    assert_eq!(market.invoke("echo", "still here").await.text(), "still here");
    market.stop().await;
}

async fn a_caller_that_goes_away_is_still_charged(shape: Shape) {
    let (market, _edge) = market(shape).await;
    market.deploy("wait", json!({})).await;
    // At the native door the call is cancelled: the provider claims the time it ran, charged at once.
    let gone = tokio::time::timeout(Duration::from_millis(150), market.invoke("wait", "60000")).await;
    assert!(gone.is_err(), "it was answered: {gone:?}");
    let attempt = eventually("what ran is claimed", || claimed(&market)).await;
    let wall_us = attempt["claim"]["wall_us"].as_u64().unwrap();
    assert!((1..5_000_000).contains(&wall_us), "stopped long before its end: {attempt}");
    let record = eventually("it is settled", || settled(&market, 1)).await;
    assert!(record["usage"]["billed_ms"].as_u64().unwrap() < 5_000, "{record}");
    assert_eq!(market.get("/v1/accounts/dev").await.json()["held"], "0");
    // At Lambda's door it goes on, and is settled.
    let invoke = market.call(Method::POST, "/2015-03-31/functions/wait/invocations", &[], "600");
    assert!(tokio::time::timeout(Duration::from_millis(150), invoke).await.is_err());
    let record = eventually("the other is settled", || settled(&market, 2)).await;
    assert_eq!((&record["state"], &record["function"]), (&json!("settled"), &json!("wait")), "{record}");
    assert!(record["usage"]["billed_ms"].as_u64().unwrap() >= 600, "{record}");
    assert_ne!(record["cost"], "0");
    assert_eq!(market.invoke("wait", "1").await.status, 200, "the provider goes on");
    market.stop().await;
}

/// Returns the record of the latest trade, once there are so many.
async fn settled(market: &Market, count: usize) -> Option<serde_json::Value> {
    let tape = market.get("/v1/markets/local/wasm/trades").await.json();
    let trades = tape["trades"].as_array()?;
    let latest = trades.iter().map(|trade| trade["match_sequence"].as_u64()).max()??;
    if trades.len() < count {
        return None;
    }
    Some(market.get(&format!("/v1/invocations/1-{latest}")).await.json())
}

/// Returns the first attempt of the first call, once its provider has claimed it.
async fn claimed(market: &Market) -> Option<serde_json::Value> {
    for sequence in 1..60 {
        let record = market.get(&format!("/v1/invocations/1-{sequence}")).await;
        if record.status == 200 {
            let attempt = record.json()["attempts"][0].clone();
            return attempt["claim"].is_object().then_some(attempt);
        }
    }
    None
}
