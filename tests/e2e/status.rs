//! `merit status`.

use serde_json::Value;

use crate::market::{Market, Shape};
use crate::process::merit;

#[tokio::test]
async fn status_fails_when_the_broker_serves_no_calls() {
    let mut market = Market::start(Shape::ThreeProcesses).await;
    let status =
        async |broker: &str| merit().args(["status", "--output", "json", "--broker", broker]).output().await.unwrap();
    let serves = status(&market.http).await;
    assert!(serves.status.success());
    let told: Value = serde_json::from_slice(&serves.stdout).unwrap();
    assert_eq!((&told["ready"], &told["markets"][0]["market"]), (&true.into(), &"local/wasm".into()));
    market.processes.remove(0).kill().await;
    let fails = status(&market.http).await;
    assert_eq!(fails.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&fails.stdout).unwrap();
    assert_eq!(told["ready"], false);
    assert!(String::from_utf8(fails.stderr).unwrap().contains("does not serve calls: "));
    market.stop().await;
}

#[tokio::test]
async fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let made = merit().args(["completion", shell]).output().await.unwrap();
        assert!(made.status.success() && String::from_utf8(made.stdout).unwrap().contains("invocations"), "{shell}");
    }
}
