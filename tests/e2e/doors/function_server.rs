//! A real function server as a provider: Google's functions framework behind `merit provider --adapter http`.

use std::process::Stdio;

use http::Method;
use serde_json::json;
use tokio::process::{Child, Command};

use super::{client, script};
use crate::market::{Market, Shape};
use crate::process::eventually;

/// Starts Google's function server with the function `tell`. Returns its address.
async fn functions_framework() -> (Child, String) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let installed = client("js/node_modules/.bin/functions-framework", &[]).as_std().get_program().to_owned();
    let mut server = Command::new(installed);
    server.args(["--target", "tell", "--port", &free.to_string(), "--source", &script("function_server")]);
    let server = server.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    (server, format!("http://127.0.0.1:{free}"))
}

#[tokio::test]
async fn a_google_framework_function_is_called_through_every_door() {
    let (_server, endpoint) = functions_framework().await;
    let market = Market::start(Shape::AllInOne).await;
    eventually("the function server answers", || async {
        market.request(Method::GET, &endpoint, &[], "").await.ok().map(drop)
    })
    .await;
    let tariff = ["--per-request", "0.0000004", "--per-gb-second", "0.0000025"];
    let sell = [&["--adapter", "http", "--endpoint", &endpoint][..], &tariff].concat();
    let _provider = market.provider("framework", &sell).await;
    let deployments = json!([{"provider": "framework", "target": "/tell"}]);
    let definition = json!({"providers": "any", "deployments": deployments});
    let put = market.call(Method::PUT, "/v1/functions/tell", &[], definition.to_string()).await;
    assert_eq!(put.status, 200, "{put:?}");

    let kind = [("content-type", "application/json")];
    let native = market.invoke_with("tell", &kind, r#"{"a": 1}"#).await;
    assert_eq!(native.json()["body"], json!({"a": 1}), "{native:?}");
    assert_eq!([native.header("x-own"), native.header("merit-provider")], ["yes", "framework"]);
    let passed = market.call(Method::PUT, "/fn/tell/down?q=1", &kind, "{}").await.json();
    assert_eq!([&passed["method"], &passed["path"], &passed["query"]["q"]], ["PUT", "/tell/down", "1"]);
    let own = market.call(Method::GET, "/fn/tell?status=404", &[], "").await;
    assert_eq!((own.status.as_u16(), own.header("merit-provider")), (404, "framework"));
    let failed = market.call(Method::GET, "/fn/tell?status=500", &[], "").await;
    assert_eq!((failed.status.as_u16(), failed.header("merit-attempts")), (500, "1"));
    assert_ne!(failed.header("merit-cost"), "0", "a function's own error is charged");
    let record = market.get(&format!("/v1/invocations/{}", native.header("merit-invocation-id"))).await.json();
    assert_eq!(record["usage"]["estimated"], true, "{record}");
}
