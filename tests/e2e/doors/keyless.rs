//! Keyless loopback: made-up credentials of AWS act as `dev`, and all other credentials are checked.

use http::Method;
use serde_json::json;
use tokio::process::Command;

use super::{Key, succeeds};
use crate::market::{Market, Shape};

/// Calls `echo` by curl at Lambda's door with these arguments. Returns the status and the body.
async fn call(market: &Market, arguments: &[&str]) -> (String, String) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--write-out", "\n%{http_code}", "--data", "1"]).args(arguments).kill_on_drop(true);
    curl.arg(format!("{}/2015-03-31/functions/echo/invocations", market.http));
    let told = succeeds(curl).await;
    let (body, status) = told.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[tokio::test]
async fn made_up_aws_credentials_act_as_dev() {
    let market = Market::start(Shape::AllInOne).await;
    let _edge = market.provider("edge", &[]).await;
    market.deploy("echo", json!({})).await;
    let signed = ["--aws-sigv4", "aws:amz:us-east-1:lambda", "--user"];
    for pair in ["test:test", "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI", "dummy:x"] {
        let told = call(&market, &[&signed[..], &[pair]].concat()).await;
        assert_eq!(told, ("200".to_owned(), "1".to_owned()), "{pair}");
    }
    // A page of another site gets in by them no more than without.
    let foreign =
        call(&market, &[&signed[..], &["test:test", "--header", "Origin: http://evil.example"]].concat()).await;
    assert_eq!(foreign.0, "403", "{foreign:?}");

    let body = json!({"role": "client", "account": "dev"}).to_string();
    let key = Key::of(&market.call(Method::POST, "/v1/keys", &[], body).await.json());
    let good = call(&market, &[&signed[..], &[&format!("{}:{}", key.id, key.secret)]].concat()).await;
    assert_eq!(good.0, "200", "{good:?}");
    for pair in [format!("{}:wrong", key.id), "key-99999:test".to_owned()] {
        let told = call(&market, &[&signed[..], &[&pair]].concat()).await;
        assert_eq!(told.0, "403", "a key of this market is checked: {told:?}");
    }
    for other in
        [["--user", "test:test"], ["--header", "Authorization: Bearer test.test"], ["--header", "Merit-Key: a.b"]]
    {
        assert_eq!(call(&market, &other).await.0, "403", "{other:?} is checked");
    }
    market.stop().await;
}
