//! The metrics and alerts: checked by promtool, and by a real Prometheus that scrapes a broker.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::in_both_shapes;
use crate::market::{Market, Shape};
use crate::process::{PATIENCE, eventually};

in_both_shapes! {
    promtool_finds_no_fault_with_the_metrics
}

fn alerts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/alerts")
}

/// Runs promtool. Returns its complaint, or none.
async fn promtool(arguments: &[&str], input: &[u8]) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(alerts()).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    (!output.status.success() || said.contains("no help") || said.contains("should")).then_some(said)
}

/// Returns the value of a series, named with its labels.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in:\n{metrics}")).parse().unwrap()
}

async fn promtool_finds_no_fault_with_the_metrics(shape: Shape) {
    let market = Market::start(shape).await;
    let _provider = market.provider("edge-1", &[]).await;
    market.deploy("echo", json!({})).await;
    let answer = market.invoke("echo", "1").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(market.invoke("nobody", "1").await.status, 404);
    let answered = market.get("/metrics").await;
    assert_eq!(promtool(&["check", "metrics"], &answered.body).await, None);

    let metrics = answered.text();
    let seller = r#"market="local/wasm",provider="edge-1""#;
    let ended = r#"merit_invocations_total{door="native",market="local/wasm",outcome="ok",provider="edge-1"}"#;
    assert_eq!(value(metrics, ended), 1.0);
    assert_eq!(value(metrics, &format!("merit_attempts_total{{{seller}}}")), 1.0);
    assert_eq!(value(metrics, &format!("merit_settlements_total{{{seller}}}")), 1.0);
    let cost: f64 = answer.header("merit-cost").parse().unwrap();
    assert!((value(metrics, &format!("merit_cost_usd_total{{{seller}}}")) - cost).abs() < 1e-15, "{cost}");
    assert_eq!(value(metrics, r#"merit_http_requests_total{door="native",status="2xx"}"#), 1.0);
    assert_eq!(value(metrics, r#"merit_http_requests_total{door="native",status="4xx"}"#), 1.0);
    assert_eq!(value(metrics, r#"merit_http_requests_in_flight{door="state"}"#), 1.0, "this one");
    assert_eq!(value(metrics, r#"merit_overhead_seconds_count{door="native"}"#), 1.0);
    assert_eq!(value(metrics, r#"merit_refusals_total{code="not_found"}"#), 1.0);
    assert_eq!(value(metrics, "merit_invocations_in_flight"), 0.0);
    assert_eq!(value(metrics, "merit_exchange_connected"), 1.0);
    assert!(value(metrics, "process_resident_memory_bytes") > 1e6);
    market.stop().await;
}

#[tokio::test]
async fn every_alert_fires_when_it_is_to_and_only_then() {
    assert_eq!(promtool(&["check", "rules", "merit.yml"], b"").await, None);
    assert_eq!(promtool(&["test", "rules", "merit_test.yml"], b"").await, None);
    let read = |name: &str| std::fs::read_to_string(alerts().join(name)).unwrap();
    let (rules, tests) = (read("merit.yml"), read("merit_test.yml"));
    for name in names_of(&rules) {
        for how in ["fires", "keeps quiet"] {
            assert!(tests.contains(&format!("name: {name} {how}\n")), "{name} is not tried as it {how}");
        }
    }
}

/// Returns the alerts of a file of rules.
fn names_of(rules: &str) -> BTreeSet<String> {
    let names: BTreeSet<String> =
        rules.lines().filter_map(|line| Some(line.trim().strip_prefix("- alert: ")?.to_owned())).collect();
    assert!(names.len() >= 8, "{names:?}");
    names
}

/// Starts a Prometheus that scrapes `target` and knows the alerts, with shorter delays.
async fn prometheus(target: &str, dir: &Path) -> (Child, String) {
    let rules = std::fs::read_to_string(alerts().join("merit.yml")).unwrap();
    let hasty = rules.lines().map(|line| match line.trim().strip_prefix("for: ") {
        Some(_) => "        for: 1s\n".to_owned(),
        None => format!("{line}\n"),
    });
    std::fs::write(dir.join("merit.yml"), hasty.collect::<String>()).unwrap();
    let target = target.trim_start_matches("http://");
    let config = json!({
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": ["merit.yml"],
        "scrape_configs": [{"job_name": "merit", "static_configs": [{"targets": [target]}]}],
    });
    // JSON is YAML.
    std::fs::write(dir.join("prometheus.yml"), config.to_string()).unwrap();
    let mut command = Command::new("prometheus");
    command.current_dir(dir).args(["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"]);
    command.args(["--web.listen-address=127.0.0.1:0", "--log.format=json"]);
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let listening = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let said: Value = serde_json::from_str(&line).unwrap_or_default();
            if said["msg"] == "Listening on" {
                return said["address"].as_str().unwrap().to_owned();
            }
        }
        panic!("it ended");
    };
    let address = tokio::time::timeout(PATIENCE, listening).await.unwrap();
    // The rest of its log must go somewhere, or the pipe would fill.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, format!("http://{address}"))
}

#[tokio::test]
async fn prometheus_tells_of_a_broker_without_its_exchange() {
    let mut market = Market::start(Shape::ThreeProcesses).await;
    let dir = tempfile::tempdir().unwrap();
    let (_prometheus, url) = prometheus(&market.http, dir.path()).await;
    eventually("the broker is scraped", || async {
        let found = asked(&market, format!("{url}/api/v1/query?query=merit_exchange_connected")).await?;
        (found["data"]["result"][0]["value"][1] == "1").then_some(())
    })
    .await;
    assert_eq!(firing(&market, &url).await, [""; 0]);
    market.processes.remove(0).kill().await;
    eventually("the alert fires, alone", || async {
        (firing(&market, &url).await == ["MeritBrokerWithoutExchange"]).then_some(())
    })
    .await;
}

/// Returns the metrics at the `scrape`th time of a broker where all goes well, or nothing does.
fn told(scrape: u64, is_well: bool) -> String {
    let (good, bad) = if is_well { (scrape * 100, 0) } else { (100, scrape * 100) };
    let slow = good + bad;
    format!(
        "merit_http_requests_total{{door=\"native\",status=\"2xx\"}} {good}\n\
         merit_http_requests_total{{door=\"native\",status=\"5xx\"}} {bad}\n\
         merit_invocations_total{{door=\"native\",market=\"m\",outcome=\"ok\",provider=\"p\"}} {good}\n\
         merit_refusals_total{{code=\"no_capacity\"}} {bad}\n\
         merit_exchange_connected {}\n\
         merit_market_clock_refused {}\n\
         merit_exchange_disk_refuses{{what=\"calls\"}} {}\n\
         merit_overhead_seconds_bucket{{door=\"native\",le=\"0.00064\"}} {good}\n\
         merit_overhead_seconds_bucket{{door=\"native\",le=\"0.16384\"}} {slow}\n\
         merit_overhead_seconds_bucket{{door=\"native\",le=\"+Inf\"}} {slow}\n\
         merit_retries_denied_total {bad}\n\
         merit_shed_total {bad}\n\
         merit_attempts_failed_total{{provider=\"p\",execution=\"unknown\"}} {bad}\n\
         merit_attempts_total{{market=\"m\",provider=\"p\"}} {slow}\n\
         merit_settlements_total{{market=\"m\",provider=\"p\"}} {good}\n",
        u8::from(is_well),
        u8::from(!is_well),
        u8::from(!is_well)
    )
}

/// Starts a server whose metrics go on at each scrape.
async fn scraped(is_well: bool) -> String {
    let scrapes = Arc::new(AtomicU64::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = axum::Router::new().fallback(async move || told(scrapes.fetch_add(1, Ordering::Relaxed), is_well));
    tokio::spawn(async move { axum::serve(listener, server).await });
    address.to_string()
}

#[tokio::test]
async fn a_real_prometheus_fires_each_alert_and_no_other() {
    let market = Market::start(Shape::AllInOne).await;
    let every = names_of(&std::fs::read_to_string(alerts().join("merit.yml")).unwrap());
    let (well, ill) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_quiet, quiet) = prometheus(&scraped(true).await, well.path()).await;
    let (_alarmed, alarmed) = prometheus(&scraped(false).await, ill.path()).await;
    eventually("every alert fires", || async {
        let firing = BTreeSet::from_iter(firing(&market, &alarmed).await);
        (firing == every).then_some(())
    })
    .await;
    let query = format!("{quiet}/api/v1/query?query=sum(rate(merit_settlements_total%5B5m%5D))%20%3E%200");
    let settled = asked(&market, query).await.unwrap();
    assert_eq!(settled["data"]["result"].as_array().map(Vec::len), Some(1), "the other was scraped as long: {settled}");
    assert_eq!(firing(&market, &quiet).await, [""; 0]);
}

async fn asked(market: &Market, url: String) -> Option<Value> {
    let answer = market.request(http::Method::GET, &url, &[], "").await.ok()?;
    // Until it is ready it answers in text.
    (answer.status == 200).then(|| answer.json())
}

/// Returns the alerts that fire.
async fn firing(market: &Market, url: &str) -> Vec<String> {
    let told = asked(market, format!("{url}/api/v1/alerts")).await.unwrap_or_default();
    let alerts = told["data"]["alerts"].as_array().into_iter().flatten();
    let firing = alerts.filter(|alert| alert["state"] == "firing");
    let mut names: Vec<String> =
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names.dedup();
    names
}
