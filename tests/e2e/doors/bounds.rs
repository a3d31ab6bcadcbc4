//! Quotas of one caller: streams, calls and quotes a second, heads, payloads; and refusals that say when to try again.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Key, Secured};
use crate::market::{Answer, Market, Shape, sample};
use crate::process::{PATIENCE, eventually};

/// The most streams of one account, or of one address without a key.
const SUBSCRIPTIONS_MAX: usize = 64;
/// The greatest size of a request's head.
const HEAD_MAX_BYTES: usize = 32 << 10;
const HEAD_MAX_FIELDS: usize = 128;

/// Sends a request. Returns its connection and the head of its answer.
async fn ask(http: &str, request: &str) -> (TcpStream, String) {
    let mut connection = TcpStream::connect(http.trim_start_matches("http://")).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut told = String::new();
    while !told.contains("\r\n\r\n") {
        let mut part = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, connection.read(&mut part)).await.expect("it is answered").unwrap();
        assert!(read > 0, "{request}: {told}");
        told.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    (connection, told)
}

/// Subscribes to the market.
async fn subscribe(http: &str, key: Option<&Key>) -> (TcpStream, String) {
    let shown = key.map(|key| format!("Authorization: {}\r\n", key.bearer())).unwrap_or_default();
    ask(http, &format!("GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n{shown}\r\n")).await
}

#[tokio::test]
async fn market_streams_are_bounded_by_account_and_address() {
    let secured = Secured::start().await;
    let (ours, theirs) = (secured.account("ours").await, secured.account("theirs").await);
    let http = &secured.market.http;
    for key in [Some(&ours), None] {
        let mut held = Vec::new();
        for number in 0..SUBSCRIPTIONS_MAX {
            let (stream, told) = subscribe(http, key).await;
            assert!(told.starts_with("HTTP/1.1 200 "), "{number}: {told}");
            held.push(stream);
        }
        let (_, told) = subscribe(http, key).await;
        assert!(told.starts_with("HTTP/1.1 429 ") && told.contains("\r\nretry-after: 10\r\n"), "{told}");
        assert!(subscribe(http, Some(&theirs)).await.1.starts_with("HTTP/1.1 200 "), "another has its own");
        held.pop();
        eventually("a stream that ended makes room", || async {
            subscribe(http, key).await.1.starts_with("HTTP/1.1 200 ").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn too_large_heads_are_refused_and_the_largest_served() {
    let market = Market::start(Shape::AllInOne).await;
    let head = |fields: &str| format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    let of_bytes = |bytes: usize| head(&format!("X: {}\r\n", "x".repeat(bytes - head("X: \r\n").len())));
    let of_fields = |fields: usize| head(&"X: x\r\n".repeat(fields - 1));
    for (what, refused, served) in [
        ("bytes", of_bytes(HEAD_MAX_BYTES + 1), of_bytes(HEAD_MAX_BYTES)),
        ("fields", of_fields(HEAD_MAX_FIELDS + 1), of_fields(HEAD_MAX_FIELDS)),
    ] {
        let (_, told) = ask(&market.http, &refused).await;
        assert!(told.starts_with("HTTP/1.1 431 ") && told.contains("\r\nconnection: close\r\n"), "{what}: {told}");
        let (_, told) = ask(&market.http, &served).await;
        assert!(told.starts_with("HTTP/1.1 200 "), "{what}: {told}");
    }
}

/// Starts a market in which the account `rated` may call `echo` three times a second.
async fn rated() -> (Secured, crate::process::Process, Key) {
    let secured = Secured::start().await;
    let edge = secured.provider("edge", &[]).await;
    let rated = secured.account("rated").await;
    secured.deploy(&rated, "echo", sample("echo")).await;
    secured.operate(Method::PUT, "/v1/accounts/rated/limits", json!({"rate_per_second": 3})).await;
    (secured, edge, rated)
}

/// Calls until a refusal. Returns it with the number of answers before, and asserts that the rate allowed no more.
async fn until_refused(
    secured: &Secured,
    key: &Key,
    path: &str,
    headers: &[(&str, &str)],
    status: u16,
) -> (usize, Answer) {
    let began = Instant::now();
    for answered in 0..1000 {
        let answer = secured.call_as(key, Method::POST, path, headers, "").await;
        if answer.status != status {
            let most = 3.0 + 3.0 * began.elapsed().as_secs_f64() + 1.0;
            assert!(answered as f64 <= most, "{path}: {answered} in {:?}", began.elapsed());
            return (answered, answer);
        }
    }
    panic!("{path}: 1000 calls were let through");
}

#[tokio::test]
async fn above_the_rate_each_door_refuses_in_its_shape() {
    let (secured, _edge, rated) = rated().await;
    let (let_through, refused) = until_refused(&secured, &rated, "/v1/functions/echo/invocations", &[], 200).await;
    assert!(let_through >= 3, "{let_through}: {refused:?}");
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "rate_limited"));
    assert_eq!(refused.header("retry-after"), "1");

    let (_, refused) = until_refused(&secured, &rated, "/fn/echo/path", &[], 200).await;
    assert_eq!((refused.code().as_str(), refused.header("retry-after")), ("rate_limited", "1"));
    let (_, refused) = until_refused(&secured, &rated, "/function/echo", &[], 200).await;
    assert_eq!((refused.status.as_u16(), refused.header("x-merit-error")), (429, "rate_limited"));
    assert_eq!(refused.header("retry-after"), "1");
    let lambda = "/2015-03-31/functions/echo/invocations";
    let (_, refused) = until_refused(&secured, &rated, lambda, &[], 200).await;
    assert_eq!((refused.status.as_u16(), refused.header("x-amzn-errortype")), (429, "TooManyRequestsException"));
    assert_eq!((&refused.json()["Reason"], refused.header("retry-after")), (&json!("CallerRateLimitExceeded"), "1"));

    // The rate recovers.
    eventually("a call is let through again", || async {
        let answer = secured.call_as(&rated, Method::POST, "/v1/functions/echo/invocations", &[], "x").await;
        (answer.status == 200 && answer.text() == "x").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_sdk_retry_passes_the_rate_its_id_nothing_else() {
    let (secured, _edge, rated) = rated().await;
    let (lambda, id) = ("/2015-03-31/functions/echo/invocations", [("amz-sdk-invocation-id", "7")]);
    let first = secured.call_as(&rated, Method::POST, lambda, &id, "").await;
    assert_eq!(first.status, 200, "{first:?}");
    until_refused(&secured, &rated, lambda, &[], 200).await;
    for _ in 0..10 {
        let again = secured.call_as(&rated, Method::POST, lambda, &id, "").await;
        assert_eq!(again.status, 200, "{again:?}");
        assert_eq!(again.header("x-amzn-requestid"), first.header("x-amzn-requestid"), "nothing ran again");
    }
    let mut others = Vec::new();
    for number in 0..200 {
        others.push(secured.call_as(&rated, Method::POST, lambda, &id, number.to_string()).await.status.as_u16());
    }
    assert!(others.contains(&429), "{others:?}");
}

#[tokio::test]
async fn quotes_and_dry_runs_count_as_calls() {
    let (secured, _edge, rated) = rated().await;
    let (let_through, refused) = until_refused(&secured, &rated, "/v1/functions/echo/quote", &[], 200).await;
    assert!(let_through >= 3, "{let_through}: {refused:?}");
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "rate_limited"));
    assert_eq!(refused.header("retry-after"), "1");
    let dry = [("x-amz-invocation-type", "DryRun")];
    for path in ["2015-03-31/functions/echo/invocations", "2021-11-15/functions/echo/response-streaming-invocations"] {
        let (_, refused) = until_refused(&secured, &rated, &format!("/{path}"), &dry, 204).await;
        assert_eq!((refused.status.as_u16(), refused.header("x-amzn-errortype")), (429, "TooManyRequestsException"));
    }
}

#[tokio::test]
async fn calls_above_the_rate_are_refused_before_their_payload() {
    let secured = Secured::start().await;
    let none = secured.account("none").await;
    secured.operate(Method::PUT, "/v1/accounts/none/limits", json!({"rate_per_second": 0})).await;
    let event = "Content-Type: application/cloudevents+json\r\n";
    let event_stream = "/2021-11-15/functions/echo/response-streaming-invocations";
    for (path, more) in [
        ("/2015-03-31/functions/echo/invocations", ""),
        (event_stream, ""),
        ("/v1/functions/echo/invocations", ""),
        ("/v1/functions/echo/invocations", event),
        ("/function/echo", ""),
    ] {
        let began = Instant::now();
        let length = "Content-Length: 6000000\r\n";
        let head = format!("Host: localhost\r\nAuthorization: {}\r\n{more}{length}\r\n", none.bearer());
        let (_, told) = ask(&secured.market.http, &format!("POST {path} HTTP/1.1\r\n{head}")).await;
        assert!(told.starts_with("HTTP/1.1 429 ") && told.contains("\r\nretry-after: "), "{path}: {told}");
        // A payload that does not come has a timeout of 30 s.
        assert!(began.elapsed() < Duration::from_secs(20), "{path}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_too_large_definition_is_refused_as_any_error() {
    let secured = Secured::start().await;
    let key = secured.account("team").await;
    for (path, bytes) in [("/v1/functions/f", (6 << 20) + 1), ("/v1/functions/f/module", (32 << 20) + 1)] {
        let refused = secured.call_as(&key, Method::PUT, path, &[], vec![b' '; bytes]).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (413, "too_large"), "{path}");
        assert!(refused.message().contains(&(bytes - 1).to_string()), "{path}: {refused:?}");
    }
    let there: Value = secured.call_as(&key, Method::GET, "/v1/functions", &[], "").await.json();
    assert_eq!(there, json!({"functions": []}));
}
