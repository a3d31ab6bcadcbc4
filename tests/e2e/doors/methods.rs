//! Methods on paths that nobody serves so: 404 or 405 with the methods that are there, and never the page.

use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::market::{Market, Shape};
use crate::process::PATIENCE;

/// Sends the first line of a request, which no client would send. Returns the answer.
async fn raw(market: &Market, line: &str) -> String {
    let address = market.http.trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, connection.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn only_get_and_head_read_the_page() {
    let market = Market::start(Shape::AllInOne).await;
    let page = market.get("/").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    let head = market.call(Method::HEAD, "/", &[], "").await;
    assert_eq!((head.status.as_u16(), head.text()), (200, ""));
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let there = market.call(method.clone(), "/", &[], "").await;
        assert_eq!((there.status.as_u16(), there.header("allow")), (405, "GET,HEAD"), "{method}: {there:?}");
        assert_eq!(there.code(), "method_not_allowed");
        let nothing = market.call(method.clone(), "/nothing/there.js", &[], "").await;
        assert_eq!((nothing.status.as_u16(), nothing.code()), (404, "not_found".to_owned()), "{method}");
    }
    for path in ["/nothing", "//", "///index.html", "/assets", "/./index.html", "/%2e%2e/index.html"] {
        let nothing = market.get(path).await;
        assert_eq!((nothing.status.as_u16(), nothing.code()), (404, "not_found".to_owned()), "{path}");
    }
    market.stop().await;
}

#[tokio::test]
async fn a_tunnel_is_served_nowhere() {
    let market = Market::start(Shape::AllInOne).await;
    let _edge = market.provider("edge", &[]).await;
    market.deploy("echo", json!({})).await;
    for target in ["evil.example:443", "localhost:80", "/fn/echo", "/", "/v1/markets", "/function/echo"] {
        let answer = raw(&market, &format!("CONNECT {target}")).await;
        let is_refused = answer.starts_with("HTTP/1.1 405") || answer.starts_with("HTTP/1.1 400");
        assert!(is_refused && !answer.contains("<html") && !answer.contains("merit-cost"), "{target}: {answer}");
    }
    let refused = raw(&market, "CONNECT localhost:80").await;
    assert!(refused.starts_with("HTTP/1.1 405") && refused.contains("\r\nallow: GET,HEAD,POST"), "{refused}");
    let all = raw(&market, "OPTIONS *").await;
    assert!(all.starts_with("HTTP/1.1 404") && !all.contains("<html"), "{all}");
    market.stop().await;
}

#[tokio::test]
async fn a_missing_method_is_told_with_those_there() {
    let market = Market::start(Shape::AllInOne).await;
    for (method, path, allow) in [
        (Method::DELETE, "/v1/markets", "GET,HEAD,POST"),
        (Method::POST, "/v1/invocations", "GET,HEAD"),
        (Method::GET, "/v1/functions/f/quote", "POST"),
        (Method::PUT, "/2015-03-31/functions/f/invocations", "POST"),
        (Method::POST, "/system/functions", "GET,HEAD"),
        (Method::PUT, "/metrics", "GET,HEAD"),
        (Method::POST, "/openapi.json", "GET,HEAD"),
    ] {
        let answer = market.call(method.clone(), path, &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, allow), "{method} {path}: {answer:?}");
    }
    for path in ["/v1/nothing", "/2015-03-31/nothing", "/2021-11-15/nothing", "/system/nothing", "/function"] {
        for method in [Method::GET, Method::POST, Method::OPTIONS] {
            let answer = market.call(method.clone(), path, &[], "").await;
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
        }
    }
    market.stop().await;
}
