//! Changes of a function's definition: what is not named stays as it is, by HTTP and on the command line.

use http::Method;
use serde_json::{Value, json};

use crate::in_both_shapes;
use crate::market::{Answer, Market, Shape};
use crate::process::{Process, assert_fails, merit};

in_both_shapes! {
    functions_set_changes_what_is_named_alone
    a_patch_is_merged_or_refused
    a_put_that_would_reset_is_refused
    a_second_deploy_keeps_what_it_does_not_name
}

/// Starts a market with a function whose every field is set. Returns the function, too.
async fn market(shape: Shape) -> (Market, Value) {
    let market = Market::start(shape).await;
    let definition = json!({
        "timeout_ms": 5000, "providers": ["edge-1"], "markets": ["local/*"], "max_concurrency": 7, "idempotent": true,
        "labels": {"team": "media"}, "environment": {"MODE": "fast"},
        "limits": {"max_cost": "0.5", "max_price": "0.00003", "max_latency_ms": 800, "only": ["edge-1"]},
        "budgets": [{"period": "day", "amount": "3"}, {"period": "month", "amount": "20"}],
        "deployments": [{"provider": "edge-1", "target": "/f"}], "public": {"requests_per_second": 5}, "logs": false,
    });
    market.deploy("echo", definition).await;
    let echo = echo(&market).await;
    (market, echo)
}

/// Returns the function as the answer to a change tells it: without its readiness.
async fn echo(market: &Market) -> Value {
    let mut told = market.get("/v1/functions/echo").await.json();
    assert_eq!(told.as_object_mut().unwrap().remove("readiness"), Some(json!([])));
    told
}

async fn send(market: &Market, method: Method, path: &str, body: Value) -> Answer {
    market.call(method, path, &[], body.to_string()).await
}

/// Runs `merit` with these arguments. Returns its output.
async fn run(market: &Market, arguments: &[&str]) -> String {
    let output = merit().args(arguments).args(["--broker", &market.http]).output().await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn functions_set_changes_what_is_named_alone(shape: Shape) {
    let (market, mut expected) = market(shape).await;
    let said = run(&market, &["functions", "set", "echo", "--budget-day", "1.50"]).await;
    assert!(said.contains("1.5 USD a day, 20 USD a month"), "{said}");
    expected["budgets"][0]["amount"] = json!("1.5");
    assert_eq!(echo(&market).await, expected);

    let more =
        ["--memory-mb", "256", "--max-cost", "none", "--idempotent", "false", "--env", "B=2", "--label", "team=web"];
    run(&market, &[&["functions", "set", "echo"], &more[..]].concat()).await;
    expected["memory_mb"] = json!(256);
    expected["limits"]["max_cost"] = Value::Null;
    expected["idempotent"] = json!(false);
    expected["environment"] = json!({"MODE": "fast", "B": "2"});
    expected["labels"] = json!({"team": "web"});
    expected["revision"] = json!(expected["revision"].as_u64().unwrap() + 1);
    expected["aliases"]["live"] = expected["revision"].clone();
    assert_eq!(echo(&market).await, expected);

    let nothing = ["functions", "set", "echo", "--broker", &market.http];
    assert_fails(&nothing, &["name a setting", "--help"]).await;
    assert_eq!(run(&market, &["functions", "echo"]).await, run(&market, &["functions", "show", "echo"]).await);
    assert_eq!(run(&market, &["functions"]).await, run(&market, &["functions", "list"]).await);
    assert!(run(&market, &["functions", "delete", "echo"]).await.starts_with("echo is deleted (sequence "));
    assert_eq!(market.get("/v1/functions/echo").await.status, 404);
    market.stop().await;
}

async fn a_patch_is_merged_or_refused(shape: Shape) {
    let (market, before) = market(shape).await;
    for same in [json!({}), json!({"timeout_ms": 5000, "limits": {"max_latency_ms": 800}})] {
        let answer = send(&market, Method::PATCH, "/v1/functions/echo", same).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, before.clone()), "it changes nothing");
    }
    for (path, patch, status, named) in [
        ("echo", json!({"timout_ms": 1}), 400, "`timout_ms` is not known; did you mean `timeout_ms`?"),
        ("echo", json!({"limits": {"max_cots": null}}), 400, "did you mean `max_cost`?"),
        ("echo", json!([]), 400, "not a JSON object"),
        ("echo", json!({"providers": 7}), 400, "providers: "),
        ("echo", json!({"memory_mb": 0}), 422, "memory_mb: 0"),
        ("ehco", json!({"memory_mb": 128}), 404, "no function `ehco`; did you mean `echo`?"),
        ("none", json!({"memory_mb": 128}), 404, "no function `none`"),
    ] {
        let answer = send(&market, Method::PATCH, &format!("/v1/functions/{path}"), patch).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        assert!(answer.message().contains(named), "{answer:?}");
    }
    assert_eq!(echo(&market).await, before);
    let reset = json!({"max_concurrency": null, "labels": {"team": null}, "limits": {"only": null}, "public": null});
    let answer = send(&market, Method::PATCH, "/v1/functions/echo", reset).await;
    let mut expected = before;
    expected["max_concurrency"] = Value::Null;
    expected["public"] = Value::Null;
    expected["labels"] = json!({});
    expected["limits"]["only"] = json!([]);
    assert_eq!(answer.json(), expected);

    // Changes of many at once are all kept.
    let names: Vec<String> = (0..8).map(|number| format!("L{number}")).collect();
    let labels =
        names.iter().map(|name| send(&market, Method::PATCH, "/v1/functions/echo", json!({"labels": {name: "x"}})));
    futures_util::future::join_all(labels).await;
    assert_eq!(echo(&market).await["labels"].as_object().unwrap().len(), names.len());
    market.stop().await;
}

async fn a_put_that_would_reset_is_refused(shape: Shape) {
    let (market, before) = market(shape).await;
    let definition =
        json!({"memory_mb": 256, "timeout_ms": 5000, "idempotent": true, "providers": "any", "limits": null});
    let refused = send(&market, Method::PUT, "/v1/functions/echo", definition.clone()).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "would_reset"), "{refused:?}");
    let fields = ["markets", "max_concurrency", "labels", "environment", "budgets", "deployments", "public", "logs"];
    assert_eq!(refused.json()["error"]["details"]["fields"], json!(fields));
    assert!(refused.message().contains("budgets") && refused.message().contains("PATCH"), "{refused:?}");
    assert_eq!(echo(&market).await, before);
    let reset = send(&market, Method::PUT, "/v1/functions/echo?reset=true", definition).await.json();
    assert_eq!((&reset["budgets"], &reset["markets"], &reset["public"]), (&json!([]), &json!([]), &Value::Null));
    assert_eq!((&reset["memory_mb"], &reset["module"]), (&json!(256), &before["module"]));
    market.stop().await;
}

async fn a_second_deploy_keeps_what_it_does_not_name(shape: Shape) {
    let (market, before) = market(shape).await;
    let module = format!("{}/functions/wordcount.wasm", env!("CARGO_MANIFEST_DIR"));
    run(&market, &["deploy", "echo", &module, "--env", "B=2"]).await;
    let mut expected = before.clone();
    let after = echo(&market).await;
    assert_ne!(after["module"], before["module"]);
    expected["module"] = after["module"].clone();
    expected["environment"]["B"] = json!("2");
    expected["revision"] = json!(before["revision"].as_u64().unwrap() + 1);
    expected["aliases"]["live"] = expected["revision"].clone();
    assert_eq!(after, expected);

    run(&market, &["deploy", "new", &module, "--idempotent", "--max-cost", "none", "--budget-day", "2"]).await;
    let new = market.get("/v1/functions/new").await.json();
    assert_eq!((&new["providers"], &new["memory_mb"], &new["timeout_ms"]), (&json!("any"), &json!(128), &json!(3000)));
    assert_eq!((&new["idempotent"], &new["budgets"][0]["amount"]), (&json!(true), &json!("2")), "{new}");
    market.stop().await;
}

#[tokio::test]
async fn a_changed_sample_of_the_demo_stays_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (data, log) = (dir.path().join("data").display().to_string(), dir.path().join("up.log"));
    let up = ["up", "--demo-traffic", "0", "--data-dir", &data, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
    let market = Market::of(vec![Process::start(&up, &log).await], dir);
    run(&market, &["functions", "set", "echo", "--memory-mb", "256", "--budget-day", "1.50"]).await;
    let changed = echo(&market).await;
    let dir = market.stop().await;
    let market = Market::of(vec![Process::start(&up, &log).await], dir);
    assert_eq!(echo(&market).await, changed);
    market.stop().await;
}
