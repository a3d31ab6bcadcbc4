//! Options of `merit provider` for its offers: a free tier, an audience, an expiry.

use std::collections::BTreeMap;

use http::Method;
use merit_engine::{Command, Engine, Reply};
use merit_exchange::replay;
use merit_terms::{Period, Price, Time};
use serde_json::{Value, json};

use crate::in_both_shapes;
use crate::market::{Answer, Market, Shape};
use crate::process::eventually;

in_both_shapes! {
    a_free_tier_is_used_up_before_anybody_is_paid
    offers_for_another_account_are_not_bought
    offers_that_expire_are_quoted_again_in_time
    a_rising_price_has_a_rung_for_each_slot
}

const FREE: [&str; 8] =
    ["--free-requests", "5", "--free-renews", "month", "--per-request", "0.000002", "--per-gb-second", "0"];

fn check_served(answer: &Answer, provider: &str, cost: &str) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!([answer.header("merit-provider"), answer.header("merit-cost")], [provider, cost]);
}

async fn a_free_tier_is_used_up_before_anybody_is_paid(shape: Shape) {
    let mut market = Market::start(shape).await;
    market.deploy("echo", json!({})).await;
    let paid = market.provider("paid", &["--per-request", "0.000001", "--per-gb-second", "0"]).await;
    let generous = market.provider("generous", &FREE).await;
    for _ in 0..2 {
        check_served(&market.invoke("echo", "x").await, "generous", "0");
    }
    // The quota goes on in another session with another ladder.
    assert!(generous.stop().await.success());
    market.until_offers_of("generous", false).await;
    let rising = ["--strategy", "utilisation", "--ceiling", "0.00001", "--largest-mb", "512"];
    let _generous = market.provider("generous", &[&FREE[..], &rising].concat()).await;
    assert_eq!(quota(&market).await["used_requests"], 2);
    for _ in 0..3 {
        check_served(&market.invoke("echo", "x").await, "generous", "0");
    }
    check_served(&market.invoke("echo", "x").await, "paid", "0.000001");
    let used = quota(&market).await;
    assert_eq!((&used["used_requests"], &used["requests"], &used["renews"]), (&json!(5), &json!(5), &json!("month")));
    assert!(paid.stop().await.success());
    market.until_offers_of("paid", false).await;
    check_served(&market.invoke("echo", "x").await, "generous", "0.000002");

    // A month is too long for a test: the next one begins on the engine that the journal makes.
    market.processes.remove(0).kill().await;
    let mut engine = replay(&market.data_dir(), |_, _, _| {}).unwrap().engine;
    let at = engine.last_at();
    let next = Time::start_of(Period::Month, at.period(Period::Month) + 1);
    assert_eq!(price_at(&mut engine.clone(), at), Price::from_picodollars(40_000_000));
    assert_eq!(price_at(&mut engine, next), Price::ZERO);
}

async fn quota(market: &Market) -> Value {
    let listed = market.get("/v1/providers").await.json();
    let providers = listed["providers"].as_array().unwrap();
    providers.iter().find(|provider| provider["name"] == "generous").unwrap()["quotas"][0].clone()
}

/// Returns the price of the next call's lease.
fn price_at(engine: &mut Engine, at: Time) -> Price {
    let account = engine.find_account("dev").unwrap();
    let bid = merit_kit::bid(account, engine.find_function(account, &"echo".parse().unwrap()).unwrap());
    match engine.apply(at, &Command::Acquire(Box::new(bid)), &mut Vec::new()).reply {
        Ok(Reply::Granted(grant)) => grant.terms.price,
        other => panic!("{other:?}"),
    }
}

async fn offers_for_another_account_are_not_bought(shape: Shape) {
    let market = Market::start(shape).await;
    market.deploy("echo", json!({})).await;
    let opened = market.call(Method::POST, "/v1/accounts", &[], json!({"id": "team-a"}).to_string()).await;
    assert_eq!(opened.status, 200, "{opened:?}");
    let edge = market.provider("edge-1", &["--audience", "team-a"]).await;
    let refused = market.invoke("echo", "x").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "no_eligible_provider"), "{refused:?}");
    let details = &refused.json()["error"]["details"];
    assert_eq!(details, &json!({"refused": [], "more_refused": {"not_allowed": 1}}), "it is told a number alone");
    assert!(edge.stop().await.success());
    market.until_offers_of("edge-1", false).await;
    let _edge = market.provider("edge-1", &["--audience", "team-a", "--audience", "dev"]).await;
    assert_eq!(market.invoke("echo", "x").await.status, 200);
    market.stop().await;
}

async fn offers_that_expire_are_quoted_again_in_time(shape: Shape) {
    let market = Market::start(shape).await;
    let edge = market.provider("edge-1", &["--offer-expires-after", "2", "--label", "energy=solar"]).await;
    let quotes = || {
        let mut quotes = Vec::new();
        replay(&market.data_dir(), |_, command, _| {
            if let Command::Quote(quote) = command {
                quotes.push(quote.clone());
            }
        })
        .unwrap();
        quotes
    };
    eventually("its offers are quoted twice again", || async { (quotes().len() >= 3).then_some(()) }).await;
    let quotes = quotes();
    let expiries: Vec<u64> = quotes.iter().map(|quote| quote.rungs[0].expires.unwrap().micros()).collect();
    assert!(expiries.is_sorted_by(|earlier, later| earlier < later), "{expiries:?}");
    let claims = BTreeMap::from([("claimed.energy".to_owned(), "solar".to_owned())]);
    assert!(quotes.iter().all(|quote| quote.rungs[0].labels == claims), "{quotes:?}");
    let listed = market.get("/v1/providers").await.json();
    assert_eq!(listed["providers"][0]["offers"], 1, "{listed}");
    assert!(edge.stop().await.success());
    market.stop().await;
}

async fn a_rising_price_has_a_rung_for_each_slot(shape: Shape) {
    let market = Market::start(shape).await;
    let rising = ["--strategy", "utilisation", "--per-gb-second", "0.00001", "--ceiling", "0.00003"];
    for (name, more, rungs) in [
        ("four", &[][..], 4),
        ("many", &["--slots", "16"], 8),
        ("one", &["--slots", "1"], 1),
        ("large", &["--largest-mb", "2048"], 1),
    ] {
        let provider = market.provider(name, &[&rising[..], more].concat()).await;
        let listed = market.get("/v1/providers").await.json();
        let listed = listed["providers"].as_array().unwrap().iter().find(|listed| listed["name"] == name).unwrap();
        assert_eq!(listed["offers"], rungs, "{name}");
        let said = provider.log();
        let is_warned =
            said.contains("sells one rung, and its price stays at the floor") && said.contains("--largest-mb");
        assert_eq!(is_warned, rungs == 1, "{name}: {said}");
    }
    market.stop().await;
}
