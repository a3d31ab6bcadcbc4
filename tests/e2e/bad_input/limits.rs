//! Good calls that no offer may serve, or not now: the reasons, offer by offer, and the time of the next try.

use std::time::Duration;

use merit_terms::Money;
use serde_json::json;

use super::{assert_refused, assert_unharmed, market};
use crate::in_both_shapes;
use crate::market::{Answer, Market, Shape};

in_both_shapes! {
    an_unmet_limit_is_told_offer_by_offer
    a_low_max_cost_cuts_the_timeout
    a_worst_case_beyond_the_account_needs_more_funds
    what_is_full_says_when_to_try_again
}

/// Returns the reasons of a refused call: provider, code and message.
fn refused(answer: &Answer) -> Vec<(String, String, String)> {
    let answer = answer.json();
    let refused = answer["error"]["details"]["refused"].as_array().unwrap_or_else(|| panic!("no reasons in {answer}"));
    let text = |offer: &serde_json::Value, field: &str| offer[field].as_str().unwrap().to_owned();
    refused.iter().map(|offer| (text(offer, "provider"), text(offer, "code"), text(offer, "message"))).collect()
}

async fn an_unmet_limit_is_told_offer_by_offer(shape: Shape) {
    let (market, _edge) = market(shape).await;
    let _dear = market.provider("edge-2", &["--per-gb-second", "0.5"]).await;
    let limits = [
        ("merit-only", "nobody", "excluded", "Merit-Only"),
        ("merit-ignore", "edge-1,edge-2", "excluded", "Merit-Ignore"),
        ("merit-region", "eu-west", "region", "regions asked for"),
        ("merit-labels", "residency=eu", "missing_label", "residency=eu"),
        ("merit-max-cost", "0.000000000001", "max_cost", "the limit is 0.000000000001"),
        ("merit-max-price", "0.000001", "max_price", "the limit 0.000001"),
    ];
    for (name, value, code, named) in limits {
        let answer = market.invoke_with("echo", &[(name, value)], "x").await;
        assert_refused(&answer, 422, "no_eligible_provider", &["2 offers"]);
        let reasons = refused(&answer);
        assert_eq!(reasons.len(), 2, "{reasons:?}");
        for (provider, reason, message) in reasons {
            assert!(provider.starts_with("edge-") && reason == code && message.contains(named), "{reason}: {message}");
        }
    }
    market.deploy("wordcount", json!({"memory_mb": 60_000})).await;
    let reasons = refused(&market.invoke("wordcount", "x").await);
    assert!(reasons.iter().all(|(_, code, message)| code == "memory_range" && message.contains("60000 MB asked")));
    assert_unharmed(&market).await;
    market.stop().await;
}

async fn a_low_max_cost_cuts_the_timeout(shape: Shape) {
    let (market, _edge) = market(shape).await;
    market.deploy("wait", json!({"timeout_ms": 60_000, "memory_mb": 1024})).await;
    // 0.00001 USD per GB-s, and 0.0000001 USD a request: this buys half a second.
    let answer = market.invoke_with("wait", &[("merit-max-cost", "0.0000051")], "30000").await;
    assert_refused(&answer, 504, "timeout", &["500 ms", "charged"]);
    let (cost, most): (Money, Money) = (answer.header("merit-cost").parse().unwrap(), "0.0000051".parse().unwrap());
    assert!(Money::ZERO < cost && cost <= most, "{cost}");
    assert_unharmed(&market).await;
    market.stop().await;
}

async fn a_worst_case_beyond_the_account_needs_more_funds(shape: Shape) {
    let market = Market::start(shape).await;
    // A minute of 60 GB at 1 USD per GB-s is 3600 USD; the account has 1000.
    let dear = ["--per-gb-second", "1", "--memory-mb", "65536"];
    let _dear = market.provider("edge-1", &dear).await;
    market.deploy("echo", json!({"timeout_ms": 60_000, "memory_mb": 61_440})).await;
    let answer = market.invoke("echo", "x").await;
    assert_refused(&answer, 402, "insufficient_funds", &["more than the account has", "Merit-Max-Cost"]);
    // The message's advice helps.
    let cut = market.invoke_with("echo", &[("merit-max-cost", "900")], "x").await;
    assert_eq!((cut.status.as_u16(), cut.text()), (200, "x"));
    market.deploy("echo", json!({})).await;
    assert_unharmed(&market).await;
    market.stop().await;
}

async fn what_is_full_says_when_to_try_again(shape: Shape) {
    let market = Market::start(shape).await;
    let _edge = market.provider("edge-1", &["--slots", "2", "--memory-mb", "1024"]).await;
    market.deploy("wait", json!({"max_concurrency": 1})).await;
    market.deploy("echo", json!({"memory_mb": 1000})).await;
    let running = market.invoke("wait", "1500");
    let refusals = async {
        market.until_leases_of("edge-1", |leases| leases == 1).await;
        (market.invoke("wait", "1").await, market.invoke("echo", "x").await)
    };
    let (ran, (second, full)) = tokio::join!(running, refusals);
    assert_eq!(ran.text(), "waited 1500 ms\n");
    assert_refused(
        &second,
        429,
        "max_concurrency",
        &["1 invocations of the function or its account run", "max_concurrency is 1"],
    );
    assert_refused(&full, 429, "no_capacity", &["full", "try again"]);
    for busy in [&second, &full] {
        let after: u64 = busy.header("retry-after").parse().unwrap();
        assert!(Duration::from_secs(after) <= Duration::from_secs(10));
    }
    assert_unharmed(&market).await;
    market.stop().await;
}
