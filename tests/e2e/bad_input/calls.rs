//! Calls that are refused before they run: unknown, malformed, too large, another account's, not supported.

use http::Method;

use super::{assert_refused, assert_unharmed, market, trades};
use crate::in_both_shapes;
use crate::market::Shape;

in_both_shapes! {
    what_is_not_there_is_not_found
    preferences_that_are_malformed_or_unknown_are_refused
    unsupported_calls_are_refused_and_not_run
    a_payload_over_6_mb_is_too_large
    foreigners_and_strangers_are_refused
}

async fn what_is_not_there_is_not_found(shape: Shape) {
    let (market, _edge) = market(shape).await;
    assert_refused(&market.invoke("nope", "x").await, 404, "not_found", &["function `nope`"]);
    assert_refused(&market.invoke("echo:7", "x").await, 404, "not_found", &["revision `echo:7`"]);
    assert_refused(&market.invoke("echo:canary", "x").await, 404, "not_found", &["alias `echo:canary`"]);
    assert_refused(&market.invoke("a%20b", "x").await, 400, "malformed", &["`a b` is not a name"]);
    let missing = [
        ("/v1/functions/nope", "function `nope`"),
        ("/v1/invocations/1-999999", "invocation `1-999999`"),
        ("/v1/markets/eu-west/gpu/book", "market `eu-west/gpu`"),
        ("/v1/accounts/nobody", "account `nobody`"),
        ("/v1/nothing", "/v1/nothing"),
    ];
    for (path, named) in missing {
        assert_refused(&market.get(path).await, 404, "not_found", &[named]);
    }
    assert_refused(&market.get("/v1/invocations/first").await, 400, "malformed", &["`first`", "1-4711"]);
    let deleted = market.call(Method::DELETE, "/v1/accounts/dev", &[], "").await;
    assert_refused(&deleted, 405, "method_not_allowed", &[]);
    assert_unharmed(&market).await;
    market.stop().await;
}

async fn preferences_that_are_malformed_or_unknown_are_refused(shape: Shape) {
    let (market, _edge) = market(shape).await;
    let bad = [
        ("merit-max-cots", "1", ["merit-max-cots", "did you mean merit-max-cost?"]),
        ("merit-max-cost", "cheap", ["merit-max-cost", "`cheap`"]),
        ("merit-max-cost", "-1", ["merit-max-cost", "negative"]),
        ("merit-max-price", "1e-5x", ["merit-max-price", "`1e-5x`"]),
        ("merit-max-latency-ms", "0.5", ["merit-max-latency-ms", "`0.5`"]),
        ("merit-only", "edge 1", ["merit-only", "`edge 1`"]),
        ("merit-region", "EU", ["merit-region", "`EU/*`"]),
        ("merit-labels", "eu", ["merit-labels", "residency=eu"]),
        ("merit-allow-fallback", "no", ["merit-allow-fallback", "`no`"]),
        ("merit-idempotent", "yes", ["merit-idempotent", "`yes`"]),
        ("merit-deadline", "30s", ["merit-deadline", "+30s"]),
        ("merit-deadline", "2020-01-01T00:00:00Z", ["merit-deadline", "has passed"]),
    ];
    for (name, value, named) in bad {
        let answer = market.invoke_with("echo", &[(name, value)], "x").await;
        assert_refused(&answer, 400, "malformed", &named);
    }
    assert_eq!(trades(&market).await, 0);
    assert_unharmed(&market).await;
    market.stop().await;
}

async fn unsupported_calls_are_refused_and_not_run(shape: Shape) {
    let (market, _edge) = market(shape).await;
    for (name, value, named) in
        [("idempotency-key", "k-1", "Idempotency-Key"), ("prefer", "respond-async", "respond-async")]
    {
        let answer = market.invoke_with("echo", &[(name, value)], "x").await;
        assert_refused(&answer, 501, "not_implemented", &[named, "was not run"]);
    }
    let path = "/v1/functions/echo/invocations";
    let deferred = market.call(Method::POST, &format!("{path}?mode=deferred"), &[], "x").await;
    assert_refused(&deferred, 501, "not_implemented", &["deferred", "was not run"]);
    let other = market.call(Method::POST, &format!("{path}?mode=later"), &[], "x").await;
    assert_refused(&other, 400, "malformed", &["`later`"]);
    let mistyped = market.call(Method::POST, &format!("{path}?mod=sync"), &[], "x").await;
    assert_refused(&mistyped, 400, "malformed", &["`mod`", "`mode`"]);
    assert_eq!(trades(&market).await, 0, "something was run");
    assert_unharmed(&market).await;
    market.stop().await;
}

async fn a_payload_over_6_mb_is_too_large(shape: Shape) {
    let (market, _edge) = market(shape).await;
    let most = vec![b'x'; 6 << 20];
    let answer = market.invoke("echo", most.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, most.len()));
    let more = [most, vec![b'x']].concat();
    assert_refused(&market.invoke("echo", more).await, 413, "too_large", &["payload", "6291456 bytes"]);
    assert_eq!(trades(&market).await, 1);
    assert_unharmed(&market).await;
    market.stop().await;
}

async fn foreigners_and_strangers_are_refused(shape: Shape) {
    let (market, _edge) = market(shape).await;
    let invoke = |name, value| {
        let market = &market;
        async move { market.invoke_with("echo", &[(name, value)], "x").await }
    };
    assert_refused(&invoke("host", "merit.example").await, 403, "forbidden", &["`merit.example`", "loopback"]);
    assert_refused(&invoke("origin", "https://evil.example").await, 403, "forbidden", &["`https://evil.example`"]);
    assert_refused(&invoke("authorization", "Bearer a.b").await, 401, "unauthorized", &["the key is not known"]);
    assert_refused(&invoke("merit-key", "a.b").await, 401, "unauthorized", &["the key is not known"]);
    let read = market.call(Method::GET, "/v1/accounts", &[("host", "merit.example")], "").await;
    assert_refused(&read, 403, "forbidden", &["`merit.example`"]);
    assert_eq!(trades(&market).await, 0);
    assert_unharmed(&market).await;
    market.stop().await;
}
