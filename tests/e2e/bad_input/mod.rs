//! Bad input: refused with a status, a code and a sentence that names it, and without harm.

mod calls;
mod command_line;
mod definitions;
mod functions;
mod limits;
mod mistakes;

use http::Method;
use serde_json::json;

use crate::market::{Answer, Market, Shape};
use crate::process::{Process, eventually};

/// Starts a market with one provider and the function `echo`.
async fn market(shape: Shape) -> (Market, Process) {
    let market = Market::start(shape).await;
    let edge = market.provider("edge-1", &[]).await;
    market.deploy("echo", json!({})).await;
    (market, edge)
}

/// Asserts the status and code of a refusal, and that its message names all of these.
#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str, named: &[&str]) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{answer:?}");
    let message = answer.message();
    for name in named {
        assert!(message.contains(name), "`{name}` is not in: {message}");
    }
}

/// Asserts that a good call still works, nothing is held, and all balances sum to zero.
async fn assert_unharmed(market: &Market) {
    assert_eq!(market.invoke("echo", "still here").await.text(), "still here");
    eventually("nothing is held", || async {
        let accounts = market.get("/v1/accounts").await.json();
        assert_eq!(accounts["sum"], "0", "{accounts}");
        accounts["accounts"].as_array().unwrap().iter().all(|account| account["held"] == "0").then_some(())
    })
    .await;
}

/// Returns the number of calls settled so far.
async fn trades(market: &Market) -> usize {
    let tape = market.get("/v1/markets/local/wasm/trades?limit=1000").await.json();
    tape["trades"].as_array().unwrap().len()
}

async fn put(market: &Market, path: &str, body: impl Into<hyper::body::Bytes>) -> Answer {
    market.call(Method::PUT, path, &[], body).await
}

/// Returns a compiled function of `functions/hostile`.
fn hostile(name: &str) -> Vec<u8> {
    wat::parse_file(format!("{}/functions/hostile/{name}.wat", env!("CARGO_MANIFEST_DIR"))).unwrap()
}
