//! A function server that knows nothing of Merit, sold by `merit provider --adapter http`.

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use http::Method;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::in_both_shapes;
use crate::market::{Market, Shape};
use crate::process::merit;

in_both_shapes! {
    a_function_servers_calls_are_billed_by_observed_time
    a_function_servers_own_errors_reach_the_caller
    a_function_that_calls_itself_ends_after_eight_calls
}

/// Tariff of a fee for each call and nothing else.
const FEE: [&str; 4] = ["--per-gb-second", "0", "--per-request", "0.000001"];

async fn shout(headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let id = headers["merit-invocation-id"].to_str().unwrap().to_owned();
    assert!(headers.get("merit-lease").is_none(), "a function server is shown no lease");
    ([("x-invocation", id)], String::from_utf8_lossy(&body).to_uppercase())
}

/// Starts a function server: `/shout` answers, `/status/NUMBER` answers with this status.
async fn function_server(tasks: &mut JoinSet<()>) -> String {
    let own = async |Path(status): Path<u16>| {
        (StatusCode::from_u16(status).unwrap(), [("retry-after", "120")], "until 10:00")
    };
    let router = Router::new().route("/shout", post(shout)).route("/status/{number}", post(own));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    endpoint
}

async fn define(market: &Market, name: &str, target: &str) {
    let definition =
        json!({"providers": "any", "idempotent": true, "deployments": [{"provider": "faas", "target": target}]});
    let answer = market.call(Method::PUT, &format!("/v1/functions/{name}"), &[], definition.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["deployments"], json!([{"provider": "faas", "target": target}]));
}

async fn a_function_servers_calls_are_billed_by_observed_time(shape: Shape) {
    let (market, mut tasks) = (Market::start(shape).await, JoinSet::new());
    let endpoint = function_server(&mut tasks).await;
    let flags = ["--adapter", "http", "--endpoint", &endpoint, "--vcpus", "0.5", "--memory-step-mb", "128"];
    let provider = market.provider("faas", &[&flags[..], &FEE[..]].concat()).await;
    assert!(provider.ready.starts_with(&format!("ready {endpoint} in ")), "{}", provider.ready);
    define(&market, "shout", "/shout").await;

    let answer = market.invoke("shout", "hello").await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"HELLO"[..]), "{answer:?}");
    assert_eq!((answer.header("merit-provider"), answer.header("merit-cost")), ("faas", "0.000001"));
    let id = answer.header("merit-invocation-id").to_owned();
    let record = market.get(&format!("/v1/invocations/{id}")).await.json();
    assert_eq!(record["usage"]["estimated"], json!(true), "{record}");

    define(&market, "shout", "/shout?v=2").await;
    let revisions = market.get("/v1/functions/shout/revisions").await.json();
    assert_eq!(revisions["revisions"].as_array().unwrap().len(), 2, "another target is another revision");
    assert_eq!(revisions["revisions"][0]["deployments"], json!([{"provider": "faas", "target": "/shout"}]));
    assert_eq!(market.invoke("shout:1", "a").await.body, "A");

    assert!(provider.stop().await.success());
    assert_eq!(market.invoke("shout", "hello").await.status, 422, "its offers left with it");
    market.stop().await;
}

async fn a_function_servers_own_errors_reach_the_caller(shape: Shape) {
    let (market, mut tasks) = (Market::start(shape).await, JoinSet::new());
    let endpoint = function_server(&mut tasks).await;
    let _provider =
        market.provider("faas", &[&["--adapter", "http", "--endpoint", &endpoint][..], &FEE[..]].concat()).await;
    for status in [404_u16, 429, 500, 502, 503, 504] {
        define(&market, "own", &format!("/status/{status}")).await;
        for _ in 0..4 {
            let answer = market.invoke("own", "").await;
            let said = (answer.status.as_u16(), answer.header("retry-after"), answer.text());
            assert_eq!(said, (status, "120", "until 10:00"), "{answer:?}");
            assert_eq!((answer.header("merit-provider"), answer.header("merit-cost")), ("faas", "0.000001"));
        }
    }
    let listed = market.get("/v1/providers").await.json();
    assert_eq!(listed["providers"][0]["health"], json!([]), "a status is the function's");
    market.deploy("echo", json!({})).await;
    let refused = market.invoke("echo", "hello").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "no_eligible_provider"), "{refused:?}");
    market.stop().await;
}

#[tokio::test]
async fn incompatible_flags_are_refused_with_the_way_out() {
    for (flags, said) in [
        (&["--adapter", "http"][..], "--adapter http needs the --endpoint to call"),
        (&["--adapter", "http", "--endpoint", "http://a", "--cpu-share", "1"], "see --vcpus"),
        (&["--adapter", "http", "--endpoint", "http://a", "--listen", "127.0.0.1:0"], "--listen goes with"),
        (&["--vcpus", "1"], "see --cpu-share"),
    ] {
        let output = merit().args(["provider", "--name", "faas"]).args(flags).output().await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && stderr.contains(said), "{flags:?}: {stderr}");
    }
}

async fn a_function_that_calls_itself_ends_after_eight_calls(shape: Shape) {
    let market = Market::start(shape).await;
    let flags = ["--adapter", "http", "--endpoint", &market.http, "--slots", "64"];
    let _provider = market.provider("faas", &[&flags[..], &FEE[..]].concat()).await;
    define(&market, "loop", "/fn/loop").await;
    let answer = market.call(Method::POST, "/fn/loop", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (508, "calls_itself"), "{answer:?}");
    assert!(answer.message().contains("already has 8 calls of this account"), "{answer:?}");
    let calls = market.get("/v1/invocations").await.json();
    assert_eq!(calls["invocations"].as_array().unwrap().len(), 8, "{calls}");
}
