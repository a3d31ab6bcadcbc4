//! The access log of a real broker: its lines, its share of the requests, its secrecy, and that nobody waits for it.

use std::path::PathBuf;
use std::process::Stdio;

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::market::{Market, Shape};
use crate::process::{PATIENCE, Process, eventually, merit};

/// Starts another broker of the market's exchange, which logs this share of its requests as JSON.
async fn broker(market: &Market, share: &str) -> (Process, String, PathBuf) {
    let log = market.dir.path().join(format!("access-{share}.log"));
    let arguments = ["broker", "--exchange", &market.grpc, "--http", "127.0.0.1:0", "--access-log", share];
    let broker = Process::start(&[&arguments[..], &["--log-format", "json"]].concat(), &log).await;
    let http = broker.url("http");
    (broker, http, log)
}

/// Returns the lines of the access log about requests of this path.
fn lines(log: &PathBuf, path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "merit::access" && line["fields"]["path"] == path).collect()
}

async fn until_lines(log: &PathBuf, path: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} lines about {path}"), || async {
        let lines = lines(log, path);
        (lines.len() >= count).then_some(lines)
    })
    .await
}

#[tokio::test]
async fn a_line_tells_caller_call_and_outcome_and_no_secret() {
    let market = Market::start(Shape::AllInOne).await;
    let _edge = market.provider("edge", &[]).await;
    market.deploy("echo", json!({})).await;
    let (broker, http, log) = broker(&market, "1").await;
    let url = format!("{http}/fn/echo/path?token=secret-query");
    let headers = [("x-token", "secret-header"), ("authorization", "Bearer key-1.secret-key"), ("cookie", "secret-c")];
    let answer = market.request(Method::POST, &url, &headers[..1], "secret-payload").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "secret-payload"));
    let refused = market.request(Method::POST, &url, &headers, "secret-payload").await.unwrap();
    assert_eq!(refused.status, 401, "{refused:?}");

    let lines = until_lines(&log, "/fn/echo/path", 2).await;
    let fields = &lines[0]["fields"];
    assert_eq!(
        (&fields["method"], &fields["status"], &fields["account"]),
        (&json!("POST"), &json!(200), &json!("dev"))
    );
    assert_eq!(fields["invocation"], answer.header("merit-invocation-id"), "{fields}");
    assert_eq!((&fields["provider"], &fields["cost"]), (&json!("edge"), &json!(answer.header("merit-cost"))));
    assert!(fields["took_us"].as_u64().unwrap() > 0, "{fields}");
    assert!(fields["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{fields}");
    assert_eq!((&lines[1]["fields"]["status"], lines[1]["fields"].get("account")), (&json!(401), None));
    assert!(broker.stop().await.success());
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!log.contains("secret"), "{log}");
}

#[tokio::test]
async fn a_share_is_logged_and_every_failure_on_this_side() {
    let mut market = Market::start(Shape::AllInOne).await;
    let (broker, http, log) = broker(&market, "0.1").await;
    let exchange = market.processes.pop().unwrap();
    let get = async |path: &str| market.request(Method::GET, &format!("{http}{path}"), &[], "").await.unwrap();
    for _ in 0..50 {
        assert_eq!(get("/healthz").await.status, 200);
    }
    exchange.kill().await;
    for _ in 0..3 {
        assert_eq!(get("/readyz").await.status, 503);
    }
    assert!(broker.stop().await.success());
    assert_eq!((lines(&log, "/healthz").len(), lines(&log, "/readyz").len()), (5, 3));
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_no_call() {
    let market = Market::start(Shape::AllInOne).await;
    let mut command = merit();
    command.args(["broker", "--exchange", &market.grpc, "--http", "127.0.0.1:0", "--access-log", "1"]);
    let mut broker = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = BufReader::new(broker.stdout.take().unwrap()).lines();
    let ready = tokio::time::timeout(PATIENCE, ready.next_line()).await.unwrap().unwrap().unwrap();
    let http = ready.split_whitespace().nth(1).unwrap();
    // Some hundred lines fill the pipe, some ten thousand more its queue.
    let calls = async {
        for number in 0..20_000 {
            let answer = market.request(Method::GET, &format!("{http}/healthz"), &[], "").await.unwrap();
            assert_eq!(answer.status, 200, "{number}");
        }
    };
    tokio::time::timeout(PATIENCE, calls).await.expect("no call waits for the log");
    // Nobody has read it until here.
    drop(broker.stderr.take());
    broker.kill().await.unwrap();
}
