//! Every answer of every door tells about Merit's part, and a page of another site calls nothing where no key is asked
//! for.

use http::Method;
use serde_json::json;
use tokio::net::TcpStream;

use super::smuggling::{BOTH, answers};
use super::{Key, Secured, exit_3};
use crate::market::{Answer, Market, Shape, sample};
use crate::process::eventually;

/// A request, and the status of its answer.
type AnswerRow = (&'static str, &'static str, &'static [(&'static str, &'static str)], u16);

const LAMBDA: &str = "/2015-03-31/functions";
const STREAMED: &str = "/2021-11-15/functions/echo/response-streaming-invocations";

/// Requests with a client's key.
const WITH: [AnswerRow; 30] = [
    ("POST", "/v1/functions/echo/invocations", &[], 200),
    ("POST", "/v1/functions/echo/invocations", &[("te", "trailers")], 200),
    ("POST", "/v1/functions/exit/invocations", &[], 500),
    ("POST", "/v1/functions/none/invocations", &[], 404),
    ("POST", "/v1/functions/echo/invocations", &[("merit-max-cost", "x")], 400),
    ("POST", "/v1/functions/echo/invocations", &[("merit-max-price", "0")], 422),
    ("POST", "/v1/functions/echo/invocations", &[("prefer", "respond-async")], 501),
    ("POST", "/v1/functions/echo/invocations", &[("ce-specversion", "9")], 400),
    ("POST", "/v1/functions/echo/quote", &[], 200),
    ("GET", "/fn/echo", &[], 200),
    ("GET", "/fn/none/path", &[], 404),
    ("GET", "/fn/echo", &[("merit-only", "nobody")], 422),
    ("POST", "/function/echo", &[], 200),
    ("POST", "/function/exit", &[], 500),
    ("POST", "/function/none", &[], 404),
    ("POST", "/function/echo", &[("merit-unknown", "1")], 400),
    ("POST", "/async-function/echo", &[], 501),
    ("GET", "/system/functions", &[], 200),
    ("POST", "/2015-03-31/functions/echo/invocations", &[], 200),
    ("POST", "/2015-03-31/functions/exit/invocations", &[], 200),
    ("POST", "/2015-03-31/functions/none/invocations", &[], 404),
    ("POST", "/2015-03-31/functions/echo/invocations", &[("x-amz-invocation-type", "DryRun")], 204),
    ("POST", "/2015-03-31/functions/echo/invocations", &[("x-amz-invocation-type", "x")], 400),
    ("POST", STREAMED, &[], 200),
    ("GET", LAMBDA, &[], 200),
    ("GET", "/v1/invocations/x", &[], 400),
    ("GET", "/v1/nothing", &[], 404),
    ("DELETE", "/v1/markets", &[], 405),
    ("GET", "/metrics", &[], 403),
    ("GET", "/v1/markets", &[], 200),
];

/// Requests without a key, or with a wrong one.
const WITHOUT: [AnswerRow; 10] = [
    ("POST", "/v1/functions/echo/invocations", &[], 401),
    ("GET", "/fn/echo", &[], 401),
    ("POST", "/function/echo", &[], 401),
    ("POST", "/2015-03-31/functions/echo/invocations", &[], 403),
    ("POST", STREAMED, &[], 403),
    ("POST", "/fn/echo", &[("authorization", "Bearer key-1.x")], 401),
    ("POST", "/fn/echo", &[("authorization", "Digest x")], 401),
    ("GET", "/healthz", &[], 200),
    ("GET", "/openapi.json", &[], 200),
    ("GET", "/v1/markets", &[], 200),
];

async fn ask(secured: &Secured, key: Option<&Key>, (method, path, headers, _): AnswerRow) -> Answer {
    let method: Method = method.parse().unwrap();
    let body = if path.ends_with("/quote") { "{}" } else { "1" };
    match key {
        Some(key) => secured.call_as(key, method, path, headers, body).await,
        None => secured.market.call(method, path, headers, body).await,
    }
}

#[tokio::test]
async fn every_answer_of_every_door_tells_merits_part() {
    let secured = Secured::start().await;
    let _edge = secured.provider("edge", &[]).await;
    let team = secured.account("team").await;
    secured.deploy(&team, "echo", sample("echo")).await;
    secured.deploy(&team, "exit", exit_3()).await;
    let rows = WITH.into_iter().map(|row| (row, Some(&team))).chain(WITHOUT.into_iter().map(|row| (row, None)));
    for (row, key) in rows {
        let answer = ask(&secured, key, row).await;
        assert_eq!(answer.status.as_u16(), row.3, "{row:?}: {answer:?}");
        let values: Vec<_> = answer.headers.get_all("merit-overhead-us").iter().collect();
        let said: Vec<u64> = values.iter().map(|value| value.to_str().unwrap().parse().unwrap()).collect();
        assert!(said.len() == 1 && said[0] < 60_000_000, "{row:?}: {answer:?}");
    }
    let too_large = secured.call_as(&team, Method::POST, "/v1/functions/echo/invocations", &[], vec![0; (6 << 20) + 1]);
    let too_large = too_large.await;
    assert_eq!(too_large.status, 413, "{too_large:?}");
    too_large.header("merit-overhead-us");
    let doubtful = format!("POST /fn/echo HTTP/1.1\r\nHost: localhost\r\n{}\r\n0\r\n\r\n", BOTH[0]);
    let address = secured.market.http.trim_start_matches("http://");
    let told = answers(TcpStream::connect(address).await.unwrap(), &[&doubtful]).await;
    assert!(told.starts_with("HTTP/1.1 400 ") && told.contains("\r\nmerit-overhead-us: "), "{told}");
}

#[tokio::test]
async fn other_sites_pages_call_nothing_without_keys() {
    let market = Market::start(Shape::AllInOne).await;
    let _edge = market.provider("edge", &[]).await;
    market.deploy("echo", json!({})).await;
    let own = market.http.clone();
    let foreign: [&[(&str, &str)]; 4] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site"), ("origin", &own)],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
    ];
    for door in ["/fn/echo", "/fn/echo/path", "/function/echo", "/function/echo/path"] {
        for headers in foreign {
            let answer = market.call(Method::POST, door, headers, "1").await;
            assert_eq!(answer.status, 403, "{door}, {headers:?}: {answer:?}");
        }
        // The request of a picture or a link has no origin.
        let picture = market.call(Method::GET, door, foreign[0], "").await;
        assert_eq!(picture.status, 403, "{door}: {picture:?}");
        for headers in
            [&[][..], &[("sec-fetch-site", "same-origin")], &[("sec-fetch-site", "none")], &[("origin", &own)]]
        {
            let answer = market.call(Method::POST, door, headers, "1").await;
            assert_eq!(answer.status, 200, "{door}, {headers:?}: {answer:?}");
        }
    }
    let trades = eventually("what ran stands on the tape", || async {
        let trades = market.get("/v1/markets/local/wasm/trades").await.json()["trades"].as_array().unwrap().len();
        (trades >= 16).then_some(trades)
    })
    .await;
    assert_eq!(trades, 16, "nothing else ran");
}
