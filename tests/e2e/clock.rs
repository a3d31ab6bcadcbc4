//! A wall clock that is set while the market runs: refused, told, and accepted by the operator.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::market::Market;
use crate::process::{PATIENCE, Process, WallClock, eventually, merit};

async fn clock(market: &Market) -> Value {
    market.get("/v1/clock").await.json()
}

async fn until_refused(market: &Market, refused: bool) {
    eventually("the step to be noticed", || async { (clock(market).await["refused"] == refused).then_some(()) }).await;
}

/// Returns market time minus the right time, in milliseconds.
async fn ahead(market: &Market) -> i64 {
    let at: merit_terms::Time = clock(market).await["at"].as_str().unwrap().parse().unwrap();
    let right = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    (at.micros() / 1_000) as i64 - right.as_millis() as i64
}

#[tokio::test]
async fn a_set_clock_is_refused_until_it_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let (wall, log, data) = (WallClock::new(dir.path()), dir.path().join("up.log"), dir.path().join("data"));
    let data = data.to_str().unwrap();
    let up = ["up", "--no-demo", "--data-dir", data, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
    let process = Process::start_by_clock(&up, &log, &wall).await;
    let market = Market::of(vec![process], dir);
    market.deploy("echo", json!({})).await;
    // A provider whose own clock is right.
    let seller = market.provider("edge", &["--offer-expires-after", "2"]).await;
    assert_eq!(market.invoke("echo", "before").await.status, 200);

    wall.set("+1d");
    until_refused(&market, true).await;
    assert!(market.get("/metrics").await.text().contains("merit_market_clock_refused 1"));
    assert!(std::fs::read_to_string(&log).unwrap().contains("merit exchange clock accept"));
    assert!(ahead(&market).await.abs() < 5_000, "the market's time goes on");
    // Longer than its offers last.
    for _ in 0..3 {
        assert_eq!(market.invoke("echo", "meanwhile").await.status, 200);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    wall.set("+0");
    until_refused(&market, false).await;

    wall.set("-1d");
    until_refused(&market, true).await;
    assert_eq!(market.invoke("echo", "meanwhile").await.status, 200);
    wall.set("+1h");
    until_refused(&market, true).await;
    let shown = merit().args(["exchange", "clock", "accept", "--broker", &market.http]).output().await.unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("the clock is followed"));
    assert!((3_595_000..3_605_000).contains(&ahead(&market).await), "accepted");
    eventually("a call", || async { (market.invoke("echo", "after").await.status == 200).then_some(()) }).await;

    // Back again, market time waits, and never goes back.
    wall.set("+0");
    until_refused(&market, true).await;
    market.call(Method::POST, "/v1/clock/accept", &[], "").await;
    let (began, before) = (std::time::Instant::now(), ahead(&market).await);
    assert!(before > 3_590_000);
    while ahead(&market).await >= before - 100 {
        assert!(began.elapsed() < PATIENCE, "it does not wait");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(market.invoke("echo", "after").await.status, 200);
    seller.stop().await;
    market.stop().await;
}
