//! The demo of `merit up` is a market: its price rises as pools fill, and falls as they empty, by itself and at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use merit_terms::Price;
use serde_json::Value;

use crate::events::Events;
use crate::market::Market;
use crate::process::Process;

/// A peak, a trough and what leads to them, with some rest.
const WATCHED: Duration = Duration::from_secs(40);

/// A book as a reader of the stream sees it.
#[derive(Default)]
struct Seen {
    free_mb: BTreeMap<String, u64>,
    /// Free memory of all offers, and the spot price, after each change.
    moments: Vec<(u64, Option<u64>)>,
    providers: BTreeSet<String>,
    limits: BTreeSet<String>,
}

impl Seen {
    fn hear(&mut self, data: &Value) {
        for offer in data["offers"].as_array().into_iter().flatten() {
            let id = offer["offer"].as_str().unwrap().to_owned();
            self.free_mb.insert(id, offer["free_mb"].as_u64().unwrap());
            self.providers.insert(offer["provider"].as_str().unwrap().to_owned());
        }
        for level in data["bids"].as_array().into_iter().flatten() {
            self.limits.insert(level["price"].as_str().unwrap().to_owned());
        }
        let spot = data["spot_price"].as_str().map(|price| price.parse::<Price>().unwrap().picodollars());
        self.moments.push((self.free_mb.values().sum(), spot));
    }
}

/// Returns the CPU time of a process, in seconds.
fn cpu_s(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

fn mean(prices: &[u64]) -> u64 {
    prices.iter().sum::<u64>() / prices.len() as u64
}

#[tokio::test]
async fn the_demo_s_price_moves_with_its_load() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let up = ["up", "--data-dir", &data, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
    let up = Process::start(&up, &dir.path().join("up.log")).await;
    let pid = up.id();
    let market = Market::of(vec![up], dir);
    let mut events = Events::open(&format!("{}/v1/stream?markets=local/wasm", market.http), None).await;
    let (began, cpu_before) = (Instant::now(), cpu_s(pid));
    let (mut seen, mut at_ten) = (Seen::default(), 0);
    while began.elapsed() < WATCHED {
        let event = events.next().await;
        if event.name != "trade" {
            seen.hear(&event.data);
        }
        if began.elapsed() < Duration::from_secs(10) {
            at_ten = levels(&seen).len();
        }
    }
    let cores_used = (cpu_s(pid) - cpu_before) / began.elapsed().as_secs_f64();

    let levels = levels(&seen);
    assert!(levels.len() >= 8 && at_ten >= 3, "{at_ten} prices in ten seconds, {} in all: {levels:?}", levels.len());
    let mut priced: Vec<(u64, u64)> = seen.moments.iter().filter_map(|(free, spot)| Some((*free, (*spot)?))).collect();
    priced.sort_unstable();
    let prices: Vec<u64> = priced.iter().map(|(_, price)| *price).collect();
    let (full, empty) = (&prices[..prices.len() / 4], &prices[prices.len() * 3 / 4..]);
    assert!(mean(full) * 10 > mean(empty) * 12, "{} when full, {} when empty", mean(full), mean(empty));
    let sellers: Vec<&str> = seen.providers.iter().map(String::as_str).collect();
    assert_eq!(sellers, ["edge-coarse", "edge-fast", "edge-night", "edge-slow"]);
    assert!(seen.limits.len() >= 3, "deferred bids rest at {:?}", seen.limits);
    assert!(cores_used < 2.0 / 3.0, "{cores_used} cores");
    let trades = market.get("/v1/markets/local/wasm/trades?limit=1000").await.json();
    let traded: BTreeSet<&str> =
        trades["trades"].as_array().unwrap().iter().map(|trade| trade["price"].as_str().unwrap()).collect();
    assert!(traded.len() >= 8, "trades at {traded:?}");
    market.stop().await;
}

fn levels(seen: &Seen) -> BTreeSet<u64> {
    seen.moments.iter().filter_map(|(_, spot)| *spot).collect()
}
