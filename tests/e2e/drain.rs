//! A broker's drain: running calls end, new ones are refused, and it has a timeout.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::market::{Market, Shape};
use crate::process::{Process, eventually};

/// Timeout of a drain.
const DRAIN: Duration = Duration::from_secs(10);

/// Calls `wait`. Returns the answer until the connection is closed.
async fn call(http: &str, waits_ms: &str) -> String {
    let mut connection = TcpStream::connect(http.trim_start_matches("http://")).await.unwrap();
    let length = waits_ms.len();
    let head = format!("POST /v1/functions/wait/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}");
    connection.write_all(format!("{head}\r\n\r\n{waits_ms}").as_bytes()).await.unwrap();
    let mut told = String::new();
    // A connection that is cut tells nothing more.
    drop(connection.read_to_string(&mut told).await);
    told
}

/// Stops the broker of a market while a call waits this many milliseconds. Returns them with the call's answer.
async fn stopped_while(waits_ms: &'static str, timeout_ms: u32) -> (Market, Process, JoinHandle<String>) {
    let market = Market::start(Shape::ThreeProcesses).await;
    let edge = market.provider("edge", &[]).await;
    market.deploy("wait", json!({"timeout_ms": timeout_ms})).await;
    let http = market.http.clone();
    let called = tokio::spawn(async move { call(&http, waits_ms).await });
    eventually("the call runs", || async {
        let account = market.get("/v1/accounts/dev").await.json();
        (account["held"] != "0").then_some(())
    })
    .await;
    market.processes[1].signal("TERM").await;
    (market, edge, called)
}

#[tokio::test]
async fn what_runs_ends_and_nothing_new_is_taken() {
    let (mut market, _edge, called) = stopped_while("8000", 20_000).await;
    let address = market.http.trim_start_matches("http://").to_owned();
    eventually("no connection is taken", || async { TcpStream::connect(&address).await.is_err().then_some(()) }).await;
    assert!(!called.is_finished(), "it still runs");
    let told = called.await.unwrap();
    assert!(told.starts_with("HTTP/1.1 200 ") && told.contains("merit-cost: "), "{told}");
    assert!(market.processes.pop().unwrap().ended().await.success());
}

#[tokio::test]
async fn endless_calls_are_cut_at_the_drain_timeout() {
    let (mut market, _edge, called) = stopped_while("60000", 60_000).await;
    let told_at = Instant::now();
    assert!(market.processes.pop().unwrap().ended().await.success());
    let waited = told_at.elapsed();
    assert!(waited > DRAIN / 2 && waited < DRAIN * 3, "{waited:?}");
    assert_eq!(called.await.unwrap(), "", "its connection is closed without an answer");
}
