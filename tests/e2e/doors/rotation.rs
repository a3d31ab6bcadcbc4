//! The previous secret of a rotated key, at the doors: every kind of credentials takes it until its time is over.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;
use tokio::process::Command;

use super::{Key, Secured, succeeds};
use crate::market::sample;
use crate::process::eventually;

/// Calls by curl with a secret in these arguments. Returns whether it is accepted.
async fn is_taken(secured: &Secured, arguments: &[&str], path: &str) -> bool {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--data", "1"]).args(arguments);
    curl.arg(format!("{}{path}", secured.market.http)).kill_on_drop(true);
    match succeeds(curl).await.as_str() {
        "200" => true,
        "401" | "403" => false,
        other => panic!("{arguments:?}: {other}"),
    }
}

/// Returns whether the key is accepted as bearer, Basic, AWS signature and Merit-Key.
async fn taken(secured: &Secured, key: &Key) -> [bool; 4] {
    let (pair, own) = (format!("{}:{}", key.id, key.secret), "/v1/functions/echo/invocations");
    let [bearer, merit] = [format!("Authorization: {}", key.bearer()), format!("Merit-Key: {}", key.text())];
    let signed = ["--user", &pair, "--aws-sigv4", "aws:amz:us-east-1:lambda"];
    [
        is_taken(secured, &["--header", &bearer], own).await,
        is_taken(secured, &["--user", &pair], own).await,
        is_taken(secured, &signed, "/2015-03-31/functions/echo/invocations").await,
        is_taken(secured, &["--header", &merit], own).await,
    ]
}

#[tokio::test]
async fn a_rotated_keys_previous_secret_is_valid_until_its_end() {
    let secured = Secured::start().await;
    let _edge = secured.provider("edge", &[]).await;
    let old = secured.account("team").await;
    secured.deploy(&old, "echo", sample("echo")).await;
    assert_eq!(taken(&secured, &old).await, [true; 4]);
    let began = Instant::now();
    let rotate = format!("/v1/keys/{}/rotate", old.id);
    let rotated = secured.operate(Method::POST, &rotate, json!({"keep_previous_ms": 15_000})).await;
    let new = Key::of(&rotated);
    assert_ne!(new.secret, old.secret);
    assert_eq!(taken(&secured, &new).await, [true; 4]);
    assert_eq!(taken(&secured, &old).await, [true; 4], "as long as asked");
    eventually("its time is over", || async { (taken(&secured, &old).await == [false; 4]).then_some(()) }).await;
    // Sooner than the broker's cache of keys expires.
    assert!(began.elapsed() < Duration::from_secs(40), "it was taken for {:?}", began.elapsed());
    assert_eq!(taken(&secured, &new).await, [true; 4], "the new one stays");
}

#[tokio::test]
async fn an_opened_provider_sells_with_its_accounts_key() {
    let secured = Secured::start().await;
    secured.account("solar").await;
    let mut open = crate::process::merit();
    open.args(["providers", "open", "mine", "--account", "solar", "--broker", &secured.market.http]);
    open.env("MERIT_KEY", secured.operator.text());
    let told = succeeds(open).await;
    assert!(told.starts_with("mine may sell for solar (sequence "), "{told}");
    let seller = secured.key("solar", "provider").await.text();
    let _mine = secured.market.provider("mine", &["--key", &seller]).await;
    let team = secured.account("team").await;
    secured.deploy(&team, "echo", sample("echo")).await;
    let answer = secured.call_as(&team, Method::POST, "/v1/functions/echo/invocations", &[], "x").await;
    assert_eq!((answer.text(), answer.header("merit-provider")), ("x", "mine"));
}
