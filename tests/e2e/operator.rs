//! The operator's doors: markets, accounts, providers and leases changed by journaled commands.

use http::Method;
use serde_json::{Value, json};

use crate::in_both_shapes;
use crate::market::{Answer, Market, Shape};
use crate::process::{assert_fails, eventually, merit};
use crate::seller::{Seller, rung};

in_both_shapes! {
    deposits_payouts_and_corrections_keep_balances_at_zero
    a_frozen_account_neither_buys_nor_is_paid_out
    what_an_account_may_spend_is_limited
    a_market_is_made_halted_banded_and_opened_again
    a_killed_provider_sells_nothing_until_it_is_revived
    a_provider_has_no_more_offers_than_it_may
    a_lease_that_is_closed_costs_nothing
    what_the_operator_asks_wrongly_is_refused_by_its_field
    the_command_line_does_as_the_doors
}

/// Makes a call of the operator that must succeed. Returns its sequence.
async fn ask(market: &Market, method: Method, path: &str, body: Value) -> u64 {
    let answer = market.call(method, path, &[], body.to_string()).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()["sequence"].as_u64().filter(|sequence| *sequence > 0).unwrap_or_else(|| panic!("{answer:?}"))
}

async fn refuse(market: &Market, method: Method, path: &str, body: Value) -> Answer {
    let answer = market.call(method, path, &[], body.to_string()).await;
    assert!(answer.status.is_client_error(), "{path}: {answer:?}");
    answer
}

async fn account(market: &Market, id: &str) -> Value {
    market.get(&format!("/v1/accounts/{id}")).await.json()
}

async fn assert_sums_to_zero(market: &Market) {
    assert_eq!(market.get("/v1/accounts").await.json()["sum"], "0");
}

async fn deposits_payouts_and_corrections_keep_balances_at_zero(shape: Shape) {
    let market = Market::start(shape).await;
    let opened = ask(&market, Method::POST, "/v1/accounts", json!({"id": "team-a"})).await;
    ask(&market, Method::POST, "/v1/accounts", json!({"id": "team-b"})).await;
    let deposited = ask(&market, Method::POST, "/v1/accounts/team-a/deposits", json!({"amount": "12.5"})).await;
    assert!(deposited > opened);
    ask(&market, Method::POST, "/v1/accounts/team-a/payouts", json!({"amount": "2.25"})).await;
    assert_eq!(account(&market, "team-a").await["balance"], "10.25");
    let more = refuse(&market, Method::POST, "/v1/accounts/team-a/payouts", json!({"amount": "10.26"})).await;
    assert_eq!((more.status.as_u16(), more.code().as_str()), (402, "insufficient_funds"));
    assert!(more.message().contains("10.25 USD"), "{more:?}");

    let correction = json!({"from": "team-a", "amount": "20", "reason": "booked on the wrong team"});
    ask(&market, Method::POST, "/v1/accounts/team-b/corrections", correction).await;
    assert_eq!(account(&market, "team-a").await["balance"], "-9.75");
    assert_eq!(account(&market, "team-b").await["balance"], "20");
    let refund = json!({"kind": "refund", "to": "team-a", "amount": "1", "about": "1-2", "reason": "it was down"});
    ask(&market, Method::POST, "/v1/accounts/team-b/corrections", refund).await;
    assert_eq!(account(&market, "team-a").await["balance"], "-8.75");
    assert_sums_to_zero(&market).await;

    let again = refuse(&market, Method::POST, "/v1/accounts", json!({"id": "team-a"})).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "already_exists"));
    market.stop().await;
}

async fn a_frozen_account_neither_buys_nor_is_paid_out(shape: Shape) {
    let market = Market::start(shape).await;
    let _edge = market.provider("edge-1", &[]).await;
    market.deploy("echo", json!({})).await;
    ask(&market, Method::POST, "/v1/accounts/dev/freeze", json!({})).await;
    assert_eq!(account(&market, "dev").await["frozen"], true);
    let call = market.invoke("echo", "x").await;
    assert_eq!((call.status.as_u16(), call.code().as_str()), (403, "account_frozen"), "{call:?}");
    let paid = refuse(&market, Method::POST, "/v1/accounts/dev/payouts", json!({"amount": "1"})).await;
    assert_eq!(paid.code(), "account_frozen");
    ask(&market, Method::POST, "/v1/accounts/dev/freeze", json!({"frozen": false})).await;
    assert_eq!(market.invoke("echo", "x").await.status, 200);

    // The account of the seller is frozen: its offers match no more.
    ask(&market, Method::POST, "/v1/accounts/edge-1/freeze", json!({})).await;
    let call = market.invoke("echo", "x").await;
    assert_eq!((call.status.as_u16(), call.code().as_str()), (422, "no_eligible_provider"), "{call:?}");
    assert_eq!(call.json()["error"]["details"]["refused"][0]["code"], "barred");
    market.stop().await;
}

async fn what_an_account_may_spend_is_limited(shape: Shape) {
    let market = Market::start(shape).await;
    let mut seller = Seller::start(&market, "seller", 1024, 4).await;
    seller.quote("local/wasm", vec![rung(1, 1024, 1_000_000)]).await; // A millionth of a dollar a call.
    market.deploy("echo", json!({"budgets": [{"period": "month", "amount": "0.000005"}]})).await;
    let limits = json!({"credit_limit": "3", "rate_per_second": 50, "exposure": "0.5", "max_concurrency": 7,
        "budgets": [{"period": "day", "amount": "0.000003"}]});
    ask(&market, Method::PUT, "/v1/accounts/dev/limits", limits).await;
    let stands = account(&market, "dev").await;
    assert_eq!(stands["credit_limit"], "3");
    assert_eq!(
        (&stands["rate_per_second"], &stands["exposure"], &stands["max_concurrency"]),
        (&json!(50), &json!("0.5"), &json!(7))
    );
    for _ in 0..3 {
        assert_eq!(market.invoke("echo", "1").await.status, 200);
    }
    let over = market.invoke("echo", "1").await;
    assert_eq!((over.status.as_u16(), over.code().as_str()), (402, "budget_exceeded"), "{over:?}");
    let budget = json!({"period": "day", "amount": "0.000003", "spent": "0.000003", "held": "0"});
    assert_eq!(account(&market, "dev").await["budgets"], json!([budget]));

    // Without the account's budget the function's own is left.
    ask(&market, Method::PUT, "/v1/accounts/dev/limits", json!({})).await;
    for _ in 0..2 {
        assert_eq!(market.invoke("echo", "1").await.status, 200);
    }
    assert_eq!(market.invoke("echo", "1").await.code(), "budget_exceeded");
    let budget = json!({"period": "month", "amount": "0.000005", "spent": "0.000005", "held": "0"});
    assert_eq!(market.get("/v1/functions/echo").await.json()["budgets"], json!([budget]));
    let stands = account(&market, "dev").await;
    assert_eq!((&stands["credit_limit"], &stands["budgets"]), (&json!("0"), &json!([])));
    market.stop().await;
}

async fn a_market_is_made_halted_banded_and_opened_again(shape: Shape) {
    let market = Market::start(shape).await;
    ask(&market, Method::POST, "/v1/markets", json!({"market": "eu-west/wasm"})).await;
    let mut seller = Seller::start(&market, "seller", 1024, 4).await;
    seller.quote("eu-west/wasm", vec![rung(1, 1024, 1_000_000)]).await;
    market.deploy("echo", json!({"markets": ["eu-west/wasm"]})).await;
    assert_eq!(market.invoke("echo", "1").await.status, 200);

    let check_refused = async |code: &str| {
        let call = market.invoke("echo", "1").await;
        assert_eq!((call.status.as_u16(), call.code().as_str()), (422, "no_eligible_provider"), "{call:?}");
        assert_eq!(call.json()["error"]["details"]["refused"][0]["code"], code);
    };
    ask(&market, Method::PUT, "/v1/markets/eu-west/wasm", json!({"state": "halted"})).await;
    check_refused("market_closed").await;
    seller.quote("eu-west/wasm", vec![rung(1, 1024, 2_000_000)]).await;
    ask(&market, Method::PUT, "/v1/markets/eu-west/wasm", json!({"state": "cancel_only"})).await;
    let refused = seller.try_quote("eu-west/wasm", vec![rung(1, 1024, 1_000_000)]).await.unwrap_err();
    assert_eq!(refused.code, "market_closed", "{refused:?}");

    // The price is 20 times the reference call's cost.
    let bands = json!({"low": "0.000001", "high": "0.00002"});
    ask(&market, Method::PUT, "/v1/markets/eu-west/wasm", json!({"bands": bands})).await;
    check_refused("outside_bands").await;
    let refused = seller.try_quote("eu-west/wasm", vec![rung(1, 1024, 2_000_000)]).await.unwrap_err();
    assert_eq!(refused.rungs.len(), 1, "{refused:?}");
    seller.quote("eu-west/wasm", vec![rung(1, 1024, 1_000_000)]).await;
    assert_eq!(market.invoke("echo", "1").await.status, 200);
    let listed = market.get("/v1/markets").await.json();
    let eu = listed["markets"].as_array().unwrap().iter().find(|market| market["market"] == "eu-west/wasm").unwrap();
    assert_eq!((&eu["bands"], &eu["self_dealing"]), (&bands, &json!(false)), "{eu}");
    market.stop().await;
}

async fn a_killed_provider_sells_nothing_until_it_is_revived(shape: Shape) {
    let market = Market::start(shape).await;
    let _edge = market.provider("edge-1", &[]).await;
    market.deploy("echo", json!({})).await;
    ask(&market, Method::POST, "/v1/providers/edge-1/kill", json!({"reason": "it forges reports"})).await;
    market.until_offers_of("edge-1", false).await;
    let listed = market.get("/v1/providers").await.json();
    assert_eq!(listed["providers"][0]["killed"], "it forges reports");
    assert_eq!(market.invoke("echo", "x").await.code(), "no_eligible_provider");
    ask(&market, Method::POST, "/v1/providers/edge-1/revive", json!({})).await;
    // It has not given up.
    market.until_offers_of("edge-1", true).await;
    assert_eq!(market.get("/v1/providers").await.json()["providers"][0]["killed"], Value::Null);
    assert_eq!(market.invoke("echo", "x").await.status, 200);
    market.stop().await;
}

async fn a_provider_has_no_more_offers_than_it_may(shape: Shape) {
    let market = Market::start(shape).await;
    let provider = json!({"name": "seller", "account": "dev", "kind": "own", "labels": {"residency": "eu"}});
    ask(&market, Method::POST, "/v1/providers", provider).await;
    ask(&market, Method::PUT, "/v1/providers/seller/limits", json!({"offers": 1})).await;
    ask(&market, Method::PUT, "/v1/providers/seller/labels", json!({"labels": {"residency": "us"}})).await;
    let mut seller = Seller::start(&market, "seller", 1024, 4).await;
    let two = vec![rung(1, 512, 1_000_000), rung(2, 512, 2_000_000)];
    let refused = seller.try_quote("local/wasm", two).await.unwrap_err();
    assert_eq!(refused.code, "over_limit", "{refused:?}");
    seller.quote("local/wasm", vec![rung(1, 512, 1_000_000)]).await;
    let listed = market.get("/v1/providers").await.json();
    let stands = &listed["providers"][0];
    assert_eq!((&stands["kind"], &stands["labels"]), (&json!("own"), &json!({"residency": "us"})));
    assert_eq!(stands["limits"], json!({"offers": 1, "quotes_per_second": null, "exposure": null}));
    market.stop().await;
}

async fn a_lease_that_is_closed_costs_nothing(shape: Shape) {
    let market = Market::start(shape).await;
    let mut seller = Seller::start(&market, "seller", 1024, 4).await;
    seller.quote("local/wasm", vec![rung(1, 1024, 1_000_000)]).await;
    market.deploy("echo", json!({})).await;
    let before = account(&market, "dev").await;
    let close = async {
        market.until_leases_of("seller", |leases| leases == 1).await;
        let mut lease = String::new();
        for sequence in 1..100 {
            let record = market.get(&format!("/v1/invocations/1-{sequence}")).await;
            if record.status == 200 {
                lease = record.json()["attempts"][0]["lease"].as_str().unwrap().to_owned();
            }
        }
        ask(&market, Method::POST, &format!("/v1/leases/{lease}/close"), json!({})).await;
        seller.open();
        lease
    };
    let (answer, lease) = tokio::join!(market.invoke("echo", "held"), close);
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "provider_failed"), "{answer:?}");
    assert_eq!(market.get(&format!("/v1/invocations/{lease}")).await.json()["attempts"][0]["outcome"], "closed");
    assert_eq!(account(&market, "dev").await, before);
    let again = refuse(&market, Method::POST, &format!("/v1/leases/{lease}/close"), json!({})).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "closed"));
    market.stop().await;
}

async fn what_the_operator_asks_wrongly_is_refused_by_its_field(shape: Shape) {
    let market = Market::start(shape).await;
    let (post, put) = (Method::POST, Method::PUT);
    let malformed = [
        (&post, "/v1/accounts", json!({"name": "a"}), "`name` is not known"),
        (&post, "/v1/accounts", json!({"id": "Not A Name"}), "id: "),
        (&post, "/v1/accounts", json!({}), "id"),
        (&post, "/v1/accounts/dev/deposits", json!({"amount": "-1"}), "amount: `-1` is negative"),
        (&post, "/v1/accounts/dev/deposits", json!({"amount": "99999999"}), "amount: `99999999` is more than"),
        (&post, "/v1/accounts/dev/deposits", json!({"amount": 5}), "amount: "),
        (&post, "/v1/accounts/not%20a%20name/deposits", json!({"amount": "5"}), "the path's"),
        (&post, "/v1/accounts/dev/corrections", json!({"amount": "1", "reason": "r"}), "name the other account"),
        (
            &post,
            "/v1/accounts/dev/corrections",
            json!({"amount": "1", "from": "a", "about": "x", "reason": "r"}),
            "about: `x` is not",
        ),
        (&post, "/v1/accounts/dev/freeze", json!({"frozn": true}), "did you mean `frozen`?"),
        (&put, "/v1/accounts/dev/limits", json!({"credit": "1"}), "did you mean `credit_limit`?"),
        (&put, "/v1/accounts/dev/limits", json!({"budgets": [{"perod": "day"}]}), "`budgets.perod` is not known"),
        (&put, "/v1/markets/EU/wasm", json!({}), "the path's market"),
        (&post, "/v1/markets", json!({"market": "EU/wasm"}), "market: `EU/wasm` is not a market"),
        (&post, "/v1/markets", json!({}), "market: its name is missing"),
        (&put, "/v1/markets/local/wasm", json!({"state": "closed"}), "state: unknown variant `closed`"),
        (&put, "/v1/markets/local/wasm", json!({"bands": {"low": "1"}}), "bands: missing field `high`"),
        (&put, "/v1/markets/local/wasm", json!({"bands": {"lwo": "1"}}), "did you mean `low`?"),
        (&post, "/v1/providers", json!({"name": "p", "account": "dev", "kind": "any"}), "kind: unknown variant `any`"),
        (&post, "/v1/providers/edge-1/kill", json!({}), "reason"),
        (&post, "/v1/leases/x/close", json!({}), "`x` is not"),
    ];
    for (method, path, body, named) in malformed {
        let answer = refuse(&market, method.clone(), path, body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "malformed"), "{path}: {answer:?}");
        assert!(answer.message().contains(named), "`{named}` is not in: {}", answer.message());
    }
    let absent = [
        (&post, "/v1/accounts/nobody/deposits", json!({"amount": "1"}), "nobody"),
        (&post, "/v1/accounts/dev/corrections", json!({"from": "nobody", "amount": "1", "reason": "r"}), "nobody"),
        (&post, "/v1/providers", json!({"name": "p", "account": "nobody", "kind": "own"}), "nobody"),
        (&post, "/v1/providers/nobody/kill", json!({"reason": "r"}), "nobody"),
        (&post, "/v1/providers/nobody/revive", json!({}), "nobody"),
        (
            &put,
            "/v1/markets/locale/wasm",
            json!({}),
            "`locale/wasm`; did you mean `local/wasm`? `POST /v1/markets`, or `merit markets create`, makes one",
        ),
        (
            &put,
            "/v1/markets/eu-west/gpu",
            json!({}),
            "`eu-west/gpu`; `POST /v1/markets`, or `merit markets create`, makes one",
        ),
    ];
    for (method, path, body, named) in absent {
        let answer = refuse(&market, method.clone(), path, body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"), "{path}: {answer:?}");
        assert!(answer.message().contains(named), "`{named}` is not in: {}", answer.message());
    }
    // Nobody pays in or out of the exchange's own accounts.
    let outside = refuse(&market, Method::POST, "/v1/accounts/merit-outside/payouts", json!({"amount": "1"})).await;
    assert_eq!(outside.status, 404, "{outside:?}");
    let unusable = [
        (&put, "/v1/markets/local/wasm", json!({"bands": {"low": "2", "high": "1"}}), "bands"),
        (&post, "/v1/markets", json!({"market": "a/wasm", "bands": {"low": "2", "high": "1"}}), "bands"),
        (
            &put,
            "/v1/accounts/dev/limits",
            json!({"budgets": [{"period": "day", "amount": "1"}, {"period": "day", "amount": "2"}]}),
            "budgets",
        ),
        (&post, "/v1/accounts/dev/corrections", json!({"from": "dev", "amount": "1", "reason": "r"}), "to"),
        (
            &post,
            "/v1/accounts/dev/corrections",
            json!({"from": "merit-fees", "kind": "refund", "amount": "1", "reason": "r"}),
            "about",
        ),
    ];
    for (method, path, body, named) in unusable {
        let answer = refuse(&market, method.clone(), path, body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "invalid"), "{path}: {answer:?}");
        assert!(answer.message().contains(named), "`{named}` is not in: {}", answer.message());
    }
    let taken = refuse(&market, Method::POST, "/v1/markets", json!({"market": "local/wasm"})).await;
    assert_eq!((taken.status.as_u16(), taken.code().as_str()), (409, "already_exists"), "{taken:?}");
    assert_eq!(market.get("/v1/markets").await.json()["markets"].as_array().unwrap().len(), 1, "none was made");
    assert_sums_to_zero(&market).await;
    market.stop().await;
}

async fn the_command_line_does_as_the_doors(shape: Shape) {
    let market = Market::start(shape).await;
    let _edge = market.provider("edge-1", &[]).await;
    let run = async |arguments: &[&str]| {
        let output = merit().args(arguments).args(["--broker", &market.http]).output().await.unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{arguments:?}: {err}");
        out
    };
    let json = async |arguments: &[&str]| -> Value {
        serde_json::from_str(&run(&[arguments, &["--output", "json"]].concat()).await).unwrap()
    };
    assert!(run(&["accounts", "open", "team-a"]).await.starts_with("team-a is open (sequence "));
    run(&["accounts", "deposit", "team-a", "10"]).await;
    run(&["accounts", "payout", "team-a", "1.5"]).await;
    run(&["accounts", "correct", "team-a", "0.5", "--to", "dev", "--reason", "it was dev's"]).await;
    run(&["accounts", "limits", "team-a", "--credit", "2", "--day-budget", "5", "--exposure", "1"]).await;
    run(&["accounts", "limits", "team-a", "--exposure", "none", "--month-budget", "50"]).await;
    run(&["accounts", "freeze", "team-a"]).await;
    let shown = json(&["accounts", "show", "team-a"]).await;
    assert_eq!(
        (&shown["balance"], &shown["credit_limit"], &shown["exposure"]),
        (&json!("8"), &json!("2"), &Value::Null)
    );
    assert_eq!(shown["frozen"], true);
    let amounts: Vec<&Value> = shown["budgets"].as_array().unwrap().iter().map(|budget| &budget["amount"]).collect();
    assert_eq!(amounts, ["5", "50"]);
    let table = run(&["accounts", "list"]).await;
    assert!(table.contains("team-a") && table.contains("sum: 0.00 $"), "{table}");

    let made = json(&["markets", "create", "eu-west/wasm", "--bands", "0.000001..0.0001"]).await;
    assert!(made["sequence"].is_u64() && made["state"] == "open", "{made}");
    let set = run(&["markets", "set", "eu-west/wasm", "--state", "halted"]).await;
    assert!(set.starts_with("the market eu-west/wasm is set: halted, bands 0.000001..0.0001 (sequence "), "{set}");
    let typo = ["markets", "set", "eu-wst/wasm", "--state", "halted", "--broker", &market.http];
    assert_fails(
        &typo,
        &["`eu-wst/wasm`; did you mean `eu-west/wasm`? `POST /v1/markets`, or `merit markets create`, makes one"],
    )
    .await;
    let typo = ["providers", "kill", "egde-1", "--reason", "a test", "--broker", &market.http];
    assert_fails(&typo, &["no provider `egde-1`; did you mean `edge-1`?"]).await;
    let listed = json(&["markets", "list"]).await;
    let eu = listed["markets"].as_array().unwrap().iter().find(|market| market["market"] == "eu-west/wasm").unwrap();
    assert_eq!(eu["bands"], json!({"low": "0.000001", "high": "0.0001"}), "{eu}");
    eventually("the market is halted", || async {
        json(&["markets", "list"]).await["markets"].to_string().contains("halted").then_some(())
    })
    .await;

    run(&["providers", "kill", "edge-1", "--reason", "a test"]).await;
    assert!(run(&["providers", "list"]).await.contains("killed: a test"));
    run(&["providers", "revive", "edge-1"]).await;
    market.until_offers_of("edge-1", true).await;
    let refused = merit().args(["accounts", "show", "nobody", "--broker", &market.http]).output().await.unwrap();
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("there is no account `nobody`")
    );
    market.stop().await;
}
