//! One pool behind several rungs and markets is sold once.

use std::sync::Arc;

use merit_terms::Money;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::in_both_shapes;
use crate::market::{Market, Shape};
use crate::process::eventually;
use crate::seller::{Seller, rung};

in_both_shapes! {
    all_rungs_of_a_pool_never_sell_more_than_it
    a_running_call_keeps_the_tariff_of_its_old_ladder
}

async fn two_markets(shape: Shape) -> Arc<Market> {
    let market = Market::start_with(shape, tempfile::tempdir().unwrap(), &["a/wasm", "b/wasm"]).await;
    market.deploy("echo", json!({"memory_mb": 128})).await;
    Arc::new(market)
}

/// Quotes two rungs in both markets, each as large as the pool, at prices that differ from round to round.
async fn quote_all(seller: &mut Seller, memory_mb: u64, round: u64) {
    for (market, per_request) in [("a/wasm", 1_000_000 + round), ("b/wasm", 1_500_000 + round)] {
        let rungs = vec![rung(1, memory_mb, per_request), rung(2, memory_mb, per_request * 2)];
        seller.quote(market, rungs).await;
    }
}

async fn all_rungs_of_a_pool_never_sell_more_than_it(shape: Shape) {
    for (memory_mb, slots, most) in [(512, 100, 4), (4096, 3, 3)] {
        let market = two_markets(shape).await;
        let mut seller = Seller::start(&market, "seller", memory_mb, slots).await;
        quote_all(&mut seller, memory_mb, 0).await;
        let mut callers = JoinSet::new();
        for caller in 0..12 {
            let market = market.clone();
            callers.spawn(async move {
                let regions = ["a/*", "b/*", "*"];
                for call in 0..15 {
                    let region = [("merit-region", regions[(caller + call) % 3])];
                    let answer = market.invoke_with("echo", &region, "10").await;
                    match answer.status.as_u16() {
                        200 => {}
                        429 => assert_eq!(answer.code(), "no_capacity"),
                        _ => panic!("{answer:?}"),
                    }
                }
            });
        }
        // Quoting again and again meanwhile frees no capacity.
        for round in 1.. {
            quote_all(&mut seller, memory_mb, round).await;
            while let Some(called) = callers.try_join_next() {
                called.unwrap();
            }
            if callers.is_empty() {
                break;
            }
        }
        let load = seller.load();
        assert_eq!(load.most_running, most, "{load:?}");
        assert_eq!(load.most_running_mb, most * 128, "{load:?}");
        assert_eq!((load.running, load.running_mb), (0, 0), "{load:?}");
    }
}

async fn a_running_call_keeps_the_tariff_of_its_old_ladder(shape: Shape) {
    let market = two_markets(shape).await;
    let mut seller = Seller::start(&market, "seller", 512, 100).await;
    seller.quote("a/wasm", vec![rung(1, 512, 1_000_000)]).await;
    let mut held = JoinSet::new();
    for _ in 0..3 {
        let market = market.clone();
        held.spawn(async move { market.invoke("echo", "held").await });
    }
    eventually("three calls run", || async { (seller.load().running == 3).then_some(()) }).await;

    seller.quote("a/wasm", vec![rung(1, 512, 2_000_000)]).await;
    seller.quote("b/wasm", vec![rung(7, 512, 3_000_000)]).await;
    // The new ladders have the rest of the pool beside the old leases.
    let mut call = JoinSet::new();
    call.spawn({
        let market = market.clone();
        async move { market.invoke("echo", "held").await }
    });
    eventually("a fourth call runs", || async { (seller.load().running == 4).then_some(()) }).await;
    let refused = market.invoke("echo", "1").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "no_capacity"), "{refused:?}");

    seller.open();
    let answers = held.join_all().await;
    for answer in &answers {
        assert_eq!((answer.text(), answer.header("merit-cost")), ("done", "0.000001"), "{answer:?}");
    }
    assert_eq!(call.join_all().await[0].header("merit-cost"), "0.000002");
    let earned = market.get("/v1/accounts/seller").await.json();
    assert_eq!(earned["balance"].as_str().unwrap().parse::<Money>().unwrap(), "0.000005".parse().unwrap());
    let free: Vec<Value> = market.get("/v1/markets").await.json()["markets"].as_array().unwrap().clone();
    assert!(free.iter().all(|market| market["free_mb"] == 512), "{free:?}");
}
