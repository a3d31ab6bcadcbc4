//! The market page in a real browser. `page.mjs` drives it; here are its market and its verdict.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use merit_proto::v1::brokerage_message::Message as Heard;
use serde_json::json;
use tokio::process::Command;

use crate::buyer::Buyer;
use crate::in_both_shapes;
use crate::market::{Market, Shape};

in_both_shapes! {
    the_page_shows_the_market_as_it_moves
}

/// Timeout of the browser's run.
const BROWSER_WITHIN: Duration = Duration::from_secs(120);

async fn the_page_shows_the_market_as_it_moves(shape: Shape) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for built in ["broker/dashboard/dist/index.html", "broker/dashboard/node_modules/playwright-core"] {
        assert!(root.join(built).exists(), "{built} is missing; run `npm ci && npm run build` in broker/dashboard");
    }
    let market = Market::start(shape).await;
    let _cheap = market.provider("edge-cheap", &["--per-gb-second", "0.00001"]).await;
    let dear = ["--per-gb-second", "0.0000166667", "--strategy", "utilisation", "--ceiling", "0.00004"];
    let _dear = market.provider("edge-dear", &[&dear[..], &["--largest-mb", "256"]].concat()).await;
    market.deploy("echo", json!({})).await;
    let mut buyer = Buyer::start(&market).await;
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(600);
    buyer.defer("echo", 5_000_000, deadline.as_micros() as u64).await;
    buyer.hear(|heard| if let Heard::Resting(resting) = heard { resting.bid } else { None }).await;

    let screenshots = root.join("target/screenshots").join(format!("{shape:?}"));
    let driving = Command::new("node")
        .arg(root.join("tests/e2e/page.mjs"))
        .args([&market.http, screenshots.to_str().unwrap(), market.dir.path().to_str().unwrap()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(BROWSER_WITHIN, driving).await.expect("the browser hangs").unwrap();
    let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{said}");
    println!("{said}");
}
