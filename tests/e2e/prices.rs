//! Price follows supply and demand, and pays for a provider's speed.

use std::sync::Arc;

use http::Method;
use merit_proto::v1;
use merit_proto::v1::broker_message::Message as Said;
use serde_json::{Value, json};

use crate::buyer::{Buyer, executed};

use crate::in_both_shapes;
use crate::market::{Answer, Market, Shape};
use crate::process::{eventually, merit};
use crate::raw_session::{RawSession, logon};
use crate::seller::{Seller, rung};

in_both_shapes! {
    a_full_offer_leaves_the_price_to_the_next
    a_provider_that_undercuts_gets_the_very_next_call
    half_speed_at_two_thirds_price_keeps_waiting_functions
    a_quote_with_a_billed_cold_start_adds_up
}

/// Tariff of a fee for each call and nothing else, so that the order of offers needs no prediction. The reference price
/// is 20 times the fee.
const CHEAP: [&str; 4] = ["--per-gb-second", "0", "--per-request", "0.000001"];
const DEAR: [&str; 4] = ["--per-gb-second", "0", "--per-request", "0.000002"];
const CHEAP_PRICE: &str = "0.00002";
const DEAR_PRICE: &str = "0.00004";

fn check_served(answer: &Answer, provider: &str, price: &str, cost: &str) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let said = ["merit-provider", "merit-price", "merit-cost"].map(|name| answer.header(name));
    assert_eq!(said, [provider, price, cost]);
}

/// Returns the spot price, and each price level with its free memory.
async fn book(market: &Market) -> (Value, Vec<(String, u64)>) {
    let book = market.get("/v1/markets/local/wasm/book").await.json();
    let level = |level: &Value| (level["price"].as_str().unwrap().to_owned(), level["free_mb"].as_u64().unwrap());
    (book["spot_price"].clone(), book["offers"].as_array().unwrap().iter().map(level).collect())
}

async fn until_free(market: &Market, price: &str, free_mb: u64) {
    eventually(&format!("{free_mb} MB are free at {price}"), || async {
        let (_, levels) = book(market).await;
        levels.contains(&(price.to_owned(), free_mb)).then_some(())
    })
    .await;
}

async fn a_full_offer_leaves_the_price_to_the_next(shape: Shape) {
    let market = Arc::new(Market::start(shape).await);
    let _cheap = market.provider("cheap", &[&CHEAP[..], &["--slots", "1"]].concat()).await;
    let _dear = market.provider("dear", &DEAR).await;
    market.deploy("wait", json!({})).await;
    check_served(&market.invoke("wait", "1").await, "cheap", CHEAP_PRICE, "0.000001");
    until_free(&market, CHEAP_PRICE, 2048).await;

    let occupying = tokio::spawn({
        let market = market.clone();
        async move { market.invoke("wait", "4000").await }
    });
    until_free(&market, CHEAP_PRICE, 0).await;
    check_served(&market.invoke("wait", "1").await, "dear", DEAR_PRICE, "0.000002");
    assert_eq!(book(&market).await.0, DEAR_PRICE);
    assert!(!occupying.is_finished(), "the cheapest was free again before the next call ended");

    check_served(&occupying.await.unwrap(), "cheap", CHEAP_PRICE, "0.000001");
    check_served(&market.invoke("wait", "1").await, "cheap", CHEAP_PRICE, "0.000001");
    let (spot_price, levels) = book(&market).await;
    assert_eq!(spot_price, CHEAP_PRICE);
    assert_eq!(levels, [(CHEAP_PRICE.to_owned(), 2048), (DEAR_PRICE.to_owned(), 2048)]);
    let tape = market.get("/v1/markets/local/wasm/trades").await.json();
    let prices: Vec<&Value> = tape["trades"].as_array().unwrap().iter().map(|trade| &trade["price"]).collect();
    assert_eq!(prices, [CHEAP_PRICE, CHEAP_PRICE, DEAR_PRICE, CHEAP_PRICE]);
}

async fn a_provider_that_undercuts_gets_the_very_next_call(shape: Shape) {
    let market = Market::start(shape).await;
    let _dear = market.provider("dear", &DEAR).await;
    market.deploy("wait", json!({})).await;
    check_served(&market.invoke("wait", "1").await, "dear", DEAR_PRICE, "0.000002");

    let _cheap = market.provider("cheap", &CHEAP).await;
    check_served(&market.invoke("wait", "1").await, "cheap", CHEAP_PRICE, "0.000001");
    assert_eq!(book(&market).await.0, CHEAP_PRICE);

    let mut seller = Seller::start(&market, "seller", 1024, 4).await;
    for (per_request, provider, price, cost) in [
        (3_000_000, "cheap", CHEAP_PRICE, "0.000001"),
        (900_000, "seller", "0.000018", "0.0000009"),
        (1_100_000, "cheap", CHEAP_PRICE, "0.000001"),
        (800_000, "seller", "0.000016", "0.0000008"),
    ] {
        seller.quote("local/wasm", vec![rung(1, 1024, per_request)]).await;
        check_served(&market.invoke("wait", "1").await, provider, price, cost);
        let (spot_price, levels) = book(&market).await;
        assert_eq!((spot_price, levels.len()), (json!(price), 3));
    }
    seller.quote("local/wasm", Vec::new()).await;
    check_served(&market.invoke("wait", "1").await, "cheap", CHEAP_PRICE, "0.000001");
    assert_eq!(book(&market).await.1.len(), 2);
}

async fn half_speed_at_two_thirds_price_keeps_waiting_functions(shape: Shape) {
    let market = Market::start(shape).await;
    let arguments = |rate, share| ["--per-gb-second", rate, "--per-request", "0", "--cpu-share", share];
    // Small shares, so that both get theirs on a busy machine, too.
    let _fast = market.provider("fast", &arguments("0.000015", "0.1")).await;
    let _slow = market.provider("slow", &arguments("0.00001", "0.05")).await;
    market.deploy("mandelbrot", json!({})).await;
    market.deploy("wait", json!({})).await;

    for (function, payload, winner) in [("mandelbrot", "96 40 40000", "fast"), ("wait", "300", "slow")] {
        // Nobody has history: the lower tariff wins. Then the newcomer is tried once, because it might be better.
        for (provider, on_prior) in [("slow", false), ("fast", true)] {
            let first = quote(&market, function).await["offers"][0].clone();
            assert!(first["provider"] == provider && (first["prior"] == true) == on_prior, "{first}");
            assert_eq!(market.invoke(function, payload).await.header("merit-provider"), provider);
        }
        let quote = quote(&market, function).await;
        for _ in 0..2 {
            let answer = market.invoke(function, payload).await;
            assert_eq!(answer.header("merit-provider"), winner, "{function}: {quote}");
        }
        let offer = |rank: usize| &quote["offers"][rank];
        let loser = if winner == "fast" { "slow" } else { "fast" };
        assert_eq!([&offer(0)["provider"], &offer(1)["provider"]], [winner, loser], "{quote}");
        assert!(offer(0)["prior"] != true && offer(1)["prior"] != true, "{quote}");
        let predicted = |provider: &str| {
            let offer = if provider == winner { offer(0) } else { offer(1) };
            offer["predicted"]["wall_us"].as_f64().unwrap()
        };
        let ratio = predicted("slow") / predicted("fast");
        let expected = if function == "mandelbrot" { 1.4..3.0 } else { 0.7..1.4 };
        assert!(expected.contains(&ratio), "{function}: {ratio}: {quote}");
        check_table(&market, function, winner, loser).await;
    }
}

async fn a_quote_with_a_billed_cold_start_adds_up(shape: Shape) {
    let market = Market::start(shape).await;
    market.deploy("echo", json!({})).await;
    let mut session = RawSession::start(&market, logon("seller")).await;
    let mut sold = rung(1, 1024, 1_000_000);
    sold.tariff = sold.tariff.map(|tariff| v1::Tariff { bills_cold_start: true, ..tariff });
    session.quote("local/wasm", vec![sold]).await;
    let mut buyer = Buyer::start(&market).await;
    let lease = buyer.acquire("echo", v1::Limits::default()).await.unwrap().lease.unwrap();
    let reported = Some(v1::Usage { wall_us: 40_000, cold_us: 300_000, ..v1::Usage::default() });
    buyer.say(Said::Settle(v1::Settle { reported, ..executed(lease, 340_000) })).await;
    assert_eq!(buyer.settled(lease).await.unwrap().billed_ms, 340);

    let predicted = quote(&market, "echo").await["offers"][0]["predicted"].clone();
    let number = |name: &str| predicted[name].as_u64().unwrap();
    assert!(number("cold_us") > 200_000, "{predicted}");
    assert_eq!((number("wall_us") + number("cold_us")).div_ceil(1000), number("billed_ms"), "{predicted}");
    market.stop().await;
}

async fn quote(market: &Market, function: &str) -> Value {
    market.call(Method::POST, &format!("/v1/functions/{function}/quote"), &[], "").await.json()
}

/// Checks that `merit quote` shows both, the winner first, with the costs that decide.
async fn check_table(market: &Market, function: &str, winner: &str, loser: &str) {
    let output = merit().args(["quote", function, "--exact", "--broker", &market.http]).output().await.unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let at = |text: &str| table.find(text).unwrap_or_else(|| panic!("no {text} in\n{table}"));
    assert!(output.status.success() && at(winner) < at(loser), "{table}");
    let offers = quote(market, function).await;
    for rank in 0..2 {
        at(offers["offers"][rank]["predicted"]["cost"].as_str().unwrap());
    }
}
