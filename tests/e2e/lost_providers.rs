//! A provider that dies or hangs leaves the book, and no caller of an idempotent function sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::in_both_shapes;
use crate::market::{Answer, Market, Shape};
use crate::process::eventually;

in_both_shapes! {
    a_provider_killed_is_gone_and_no_idempotent_call_fails
    a_hanging_provider_goes_without_failing_idempotent_calls
}

const HEARTBEAT: Duration = Duration::from_secs(1);
const CHEAP: [&str; 4] = ["--per-gb-second", "0", "--per-request", "0.000001"];
const DEAR: [&str; 6] = ["--per-gb-second", "0", "--per-request", "0.000002", "--slots", "32"];
/// Number of callers: more than the cheap provider serves at once.
const CALLERS: usize = 8;

/// Callers that call one after the other until they are stopped.
struct Callers {
    stop: Arc<AtomicBool>,
    calling: JoinSet<Vec<Answer>>,
}

impl Callers {
    fn start(market: &Arc<Market>) -> Callers {
        let stop = Arc::new(AtomicBool::new(false));
        let mut calling = JoinSet::new();
        for _ in 0..CALLERS {
            let (market, stop) = (market.clone(), stop.clone());
            calling.spawn(async move {
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    answers.push(market.invoke("wait", "50").await);
                }
                answers
            });
        }
        Callers { stop, calling }
    }

    /// Stops them; every call must have succeeded.
    async fn stop(self) -> Vec<Answer> {
        self.stop.store(true, Ordering::Relaxed);
        let answers: Vec<Answer> = self.calling.join_all().await.into_iter().flatten().collect();
        for answer in &answers {
            assert_eq!(answer.text(), "waited 50 ms\n", "{answer:?}");
        }
        answers
    }
}

async fn started(shape: Shape) -> Arc<Market> {
    let market = Arc::new(Market::start(shape).await);
    market.deploy("wait", json!({"timeout_ms": 1500})).await;
    market
}

async fn a_provider_killed_is_gone_and_no_idempotent_call_fails(shape: Shape) {
    let market = started(shape).await;
    let cheap = market.provider("cheap", &CHEAP).await;
    let _dear = market.provider("dear", &DEAR).await;
    // Calls that surely run there when it dies.
    let mut caught = JoinSet::new();
    for _ in 0..2 {
        let market = market.clone();
        caught.spawn(async move { market.invoke("wait", "900").await });
    }
    market.until_leases_of("cheap", |leases| leases >= 2).await;
    let callers = Callers::start(&market);
    market.until_leases_of("cheap", |leases| leases == 4).await;

    let killed_at = Instant::now();
    cheap.kill().await;
    market.until_offers_of("cheap", false).await;
    assert!(killed_at.elapsed() < 3 * HEARTBEAT, "{:?}", killed_at.elapsed());
    check_goes_to(&market, "dear").await;

    for answer in caught.join_all().await {
        assert_eq!((answer.text(), answer.header("merit-provider")), ("waited 900 ms\n", "dear"), "{answer:?}");
        assert_eq!(answer.header("merit-attempts"), "2");
    }
    assert!(callers.stop().await.len() >= CALLERS);
}

async fn a_hanging_provider_goes_without_failing_idempotent_calls(shape: Shape) {
    let market = started(shape).await;
    let cheap = market.provider("cheap", &CHEAP).await;
    let _dear = market.provider("dear", &DEAR).await;
    let callers = Callers::start(&market);
    market.until_leases_of("cheap", |leases| leases == 4).await;

    let stopped_at = Instant::now();
    cheap.signal("STOP").await;
    market.until_offers_of("cheap", false).await;
    let gone_after = stopped_at.elapsed();
    assert!(gone_after < 5 * HEARTBEAT, "{gone_after:?}");
    check_goes_to(&market, "dear").await;
    let answers = callers.stop().await;
    let failed_over = answers.iter().filter(|answer| answer.header("merit-attempts") == "2").count();
    assert!(failed_over > 0, "no call was caught by the hanging provider");

    // It wakes, finds its session over, logs on again, and gets calls again.
    cheap.signal("CONT").await;
    market.until_offers_of("cheap", true).await;
    eventually("the provider that woke serves", || async {
        let answer = market.invoke("wait", "1").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.header("merit-provider") == "cheap").then_some(())
    })
    .await;
}

async fn check_goes_to(market: &Market, provider: &str) {
    for _ in 0..5 {
        let answer = market.invoke("wait", "1").await;
        let said = ["merit-provider", "merit-attempts"].map(|name| answer.header(name));
        assert_eq!(said, [provider, "1"]);
    }
}
