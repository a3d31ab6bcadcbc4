//! A budget holds, however many call at once.

use std::sync::Arc;

use http::Method;
use merit_terms::Money;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::in_both_shapes;
use crate::market::{Answer, Market, Shape};

in_both_shapes! {
    of_64_callers_a_functions_budget_serves_ten
    of_64_callers_an_accounts_budget_serves_ten
}

/// Tariff of a fee for each call and nothing else, so that the worst case of a call is its cost. There is room for more
/// calls than the budget.
const TARIFF: [&str; 6] = ["--per-gb-second", "0", "--per-request", "0.000001", "--slots", "16"];
const COST: &str = "0.000001";
const TEN_CALLS: &str = "0.00001";
const CALLERS: usize = 64;

async fn of_64_callers_a_functions_budget_serves_ten(shape: Shape) {
    let market = market(shape, json!({"budgets": [{"period": "month", "amount": TEN_CALLS}]})).await;
    check(market, "/v1/functions/wait").await;
}

async fn of_64_callers_an_accounts_budget_serves_ten(shape: Shape) {
    let market = market(shape, json!({})).await;
    let limits = json!({"budgets": [{"period": "month", "amount": TEN_CALLS}]}).to_string();
    let answer = market.call(Method::PUT, "/v1/accounts/dev/limits", &[], limits).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    check(market, "/v1/accounts/dev").await;
}

async fn market(shape: Shape, more: Value) -> Arc<Market> {
    let market = Market::start(shape).await;
    market.deploy("wait", more).await;
    Arc::new(market)
}

/// Makes all calls at once, and watches the spending of the budget at `path` meanwhile.
async fn check(market: Arc<Market>, path: &str) {
    let _edge = market.provider("edge-1", &TARIFF).await;
    let before = balance(&market, "dev").await;
    let together = Arc::new(Barrier::new(CALLERS));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (market, together) = (market.clone(), together.clone());
        callers.spawn(async move {
            together.wait().await;
            market.invoke("wait", "50").await
        });
    }
    let mut answers = Vec::new();
    while !callers.is_empty() {
        let budget = budget(&market, path).await;
        assert!(money(&budget["amount"]).saturating_sub(money(&budget["spent"])) >= money(&budget["held"]), "{budget}");
        while let Some(answer) = callers.try_join_next() {
            answers.push(answer.unwrap());
        }
    }

    let (served, refused): (Vec<Answer>, Vec<Answer>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((served.len(), refused.len()), (10, CALLERS - 10));
    assert!(served.iter().all(|answer| answer.header("merit-cost") == COST), "{served:?}");
    for answer in &refused {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (402, "budget_exceeded"), "{answer:?}");
        let sentence = "the worst case of the call is more than is left of a budget for this day or month";
        assert!(answer.message().starts_with(sentence), "{answer:?}");
    }
    let budget = budget(&market, path).await;
    assert_eq!((&budget["spent"], &budget["held"]), (&json!(TEN_CALLS), &json!("0")));
    let paid = before.saturating_sub(balance(&market, "dev").await);
    assert_eq!([paid, balance(&market, "edge-1").await], [TEN_CALLS.parse().unwrap(); 2]);
    assert_eq!(market.get("/v1/accounts/dev").await.json()["held"], "0");
    let trades = market.get("/v1/markets/local/wasm/trades").await.json();
    assert_eq!(trades["trades"].as_array().unwrap().len(), 10, "{trades}");
}

async fn budget(market: &Market, path: &str) -> Value {
    market.get(path).await.json()["budgets"][0].clone()
}

async fn balance(market: &Market, account: &str) -> Money {
    money(&market.get(&format!("/v1/accounts/{account}")).await.json()["balance"])
}

fn money(amount: &Value) -> Money {
    amount.as_str().unwrap().parse().unwrap()
}
