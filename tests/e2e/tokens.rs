//! An agent runs nothing without the token of a lease: its own, for this call, in time, once.

use http::Method;
use merit_proto::v1;
use serde_json::json;

use crate::buyer::Buyer;
use crate::in_both_shapes;
use crate::market::{Answer, Market, Shape};

in_both_shapes! {
    an_agent_runs_a_lease_once_and_for_nothing_else
    an_agent_runs_no_lease_that_has_expired
}

/// Acquires a lease of a function at one provider, as a broker does.
async fn acquire(buyer: &mut Buyer, function: &str, provider: &str) -> v1::Grant {
    let limits = v1::Limits { only: vec![provider.to_owned()], ..v1::Limits::default() };
    buyer.acquire(function, limits).await.unwrap()
}

/// Calls the agent of the grant with any token.
async fn call(market: &Market, grant: &v1::Grant, path: &str, token: Option<&str>) -> Answer {
    let headers: Vec<(&str, &str)> = token.map(|token| ("merit-lease", token)).into_iter().collect();
    market.request(Method::POST, &format!("{}/invoke/{path}", grant.endpoint), &headers, "hello").await.unwrap()
}

fn check_refused(answer: &Answer, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, code), "{answer:?}");
    assert!(answer.message().contains("token"), "{answer:?}");
    assert_eq!(answer.header("merit-not-sent"), "1");
    assert!(!answer.headers.contains_key("merit-outcome") && !answer.headers.contains_key("merit-usage"), "{answer:?}");
}

async fn an_agent_runs_a_lease_once_and_for_nothing_else(shape: Shape) {
    let market = Market::start(shape).await;
    let _one = market.provider("edge-1", &[]).await;
    let _two = market.provider("edge-2", &[]).await;
    market.deploy("echo", json!({})).await;
    market.deploy("wait", json!({})).await;
    let mut buyer = Buyer::start(&market).await;
    let grant = acquire(&mut buyer, "echo", "edge-1").await;
    let path = format!("dev/echo/{}", grant.revision);
    let token = grant.token.as_str();

    check_refused(&call(&market, &grant, &path, None).await, "token_missing");
    for garbage in ["", "nonsense", "a.b.c", "."] {
        let answer = call(&market, &grant, &path, Some(garbage)).await;
        let code = if garbage == "." { "token_forged" } else { "token_malformed" };
        check_refused(&answer, code);
    }
    let (claims, tag) = token.split_once('.').unwrap();
    let other = acquire(&mut buyer, "wait", "edge-1").await;
    let (others_claims, others_tag) = other.token.split_once('.').unwrap();
    for forged in [format!("{claims}.{others_tag}"), format!("{others_claims}.{tag}"), format!("{claims}.")] {
        check_refused(&call(&market, &grant, &path, Some(&forged)).await, "token_forged");
    }
    // A genuine token of another provider.
    let elsewhere = acquire(&mut buyer, "echo", "edge-2").await;
    check_refused(&call(&market, &grant, &path, Some(&elsewhere.token)).await, "token_forged");
    check_refused(&call(&market, &elsewhere, &path, Some(token)).await, "token_forged");
    // A genuine token for another account, revision or function.
    let (account, revision) = (format!("other/echo/{}", grant.revision), format!("dev/echo/{}", grant.revision + 1));
    for path in [&account, &revision, "dev/wait/1"] {
        check_refused(&call(&market, &grant, path, Some(token)).await, "token_for_other");
    }

    // After all of that the lease is still good, once.
    let answer = call(&market, &grant, &path, Some(token)).await;
    assert_eq!((answer.text(), answer.header("merit-outcome")), ("hello", "ok"), "{answer:?}");
    check_refused(&call(&market, &grant, &path, Some(token)).await, "token_used");
    let unknown = call(&market, &grant, "dev/echo", Some(&elsewhere.token)).await;
    assert_eq!((unknown.status.as_u16(), unknown.code().as_str()), (404, "not_found"));
}

async fn an_agent_runs_no_lease_that_has_expired(shape: Shape) {
    let market = Market::start(shape).await;
    let _edge = market.provider("edge-1", &[]).await;
    market.deploy("echo", json!({"timeout_ms": 100})).await;
    let mut buyer = Buyer::start(&market).await;
    let grant = acquire(&mut buyer, "echo", "edge-1").await;
    // From its expiry on its capacity is free again.
    market.until_leases_of("edge-1", |leases| leases == 0).await;
    let path = format!("dev/echo/{}", grant.revision);
    check_refused(&call(&market, &grant, &path, Some(&grant.token)).await, "token_expired");
}
