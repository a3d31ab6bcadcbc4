//! The archive by time: trades, candles, statements and records; unchanged after `kill -9`.

use std::collections::BTreeSet;

use http::Method;
use merit_terms::{Money, Price};
use serde_json::{Value, json};

use crate::in_both_shapes;
use crate::market::{Market, Shape};
use crate::process::merit;

in_both_shapes! {
    trades_candles_statements_and_records_agree
    what_was_kept_is_the_same_after_kill_9
    an_unusable_archive_is_made_anew_with_a_warning
}

const WASM: &str = "/v1/markets/local/wasm";

/// Returns a decimal in units of its 13th place: 1 MB for 1 ms is 0.0000009765625 GB-s.
fn scaled(text: &str) -> i128 {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    assert!(part.len() <= 13, "{text}");
    sign * format!("{whole}{part:0<13}").parse::<i128>().unwrap()
}

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

async fn list(market: &Market, path: &str, name: &str) -> Vec<Value> {
    let answer = market.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()[name].as_array().unwrap().clone()
}

async fn trades(market: &Market, query: &str) -> Vec<Value> {
    list(market, &format!("{WASM}/trades?{query}"), "trades").await
}

async fn statement(market: &Market, account: &str) -> Vec<Value> {
    list(market, &format!("/v1/accounts/{account}/statement?limit=1000"), "lines").await
}

/// Starts a market that answers some calls. Returns the id and cost that their callers read.
async fn traded(shape: Shape, calls: usize) -> (Market, Vec<(String, Money)>) {
    let market = Market::start(shape).await;
    let provider = market.provider("edge-1", &[]).await;
    market.deploy("echo", json!({})).await;
    let mut answered = Vec::new();
    for _ in 0..calls {
        let answer = market.invoke("echo", "x").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answered.push((answer.header("merit-invocation-id").to_owned(), answer.header("merit-cost").parse().unwrap()));
        // An answered call is found at once.
        let newest = trades(&market, "limit=1").await;
        assert_eq!(field(&newest[0], "invocation_id"), answered.last().unwrap().0);
    }
    assert!(provider.stop().await.success());
    // Without an offer the candle closes without a price.
    market.until_offers_of("edge-1", false).await;
    (market, answered)
}

async fn trades_candles_statements_and_records_agree(shape: Shape) {
    let (market, answered) = traded(shape, 12).await;

    let tape = trades(&market, "limit=1000").await;
    let told: Vec<(String, Money)> = tape
        .iter()
        .rev()
        .map(|trade| (field(trade, "invocation_id").to_owned(), field(trade, "cost").parse().unwrap()))
        .collect();
    assert_eq!(told, answered);

    // By time, and page by page.
    let (oldest, middle, newest) = (&tape[11], &tape[5], &tape[0]);
    let at = |trade: &Value| field(trade, "at").to_owned();
    let since = trades(&market, &format!("from={}", at(middle))).await;
    assert!(since.iter().all(|trade| at(trade) >= at(middle)) && since.last().unwrap()["at"] == middle["at"]);
    let until = trades(&market, &format!("to={}", at(middle))).await;
    assert_eq!(since.len() + until.len(), tape.len());
    assert_eq!(until.last(), Some(oldest));
    assert_eq!(trades(&market, &format!("from={}&to={}", at(middle), at(middle))).await.len(), 0);
    let mut paged = trades(&market, "limit=5").await;
    while let [.., last] = &paged[..]
        && last != oldest
    {
        let page = trades(&market, &format!("limit=5&before={}", last["sequence"])).await;
        paged.extend(page);
    }
    assert_eq!(paged, tape);

    // The candles have the volume of the tape, and the spot price: that of the only seller, until it left.
    let energy: i128 = tape.iter().map(|trade| scaled(field(trade, "gb_seconds"))).sum();
    for interval in ["1s", "1m", "1h", "1d"] {
        let path = format!("{WASM}/candles?interval={interval}&limit=1500");
        let answer = market.get(&path).await.json();
        assert_eq!((&answer["interval"], &answer["market"]), (&json!(interval), &json!("local/wasm")));
        let candles = answer["candles"].as_array().unwrap();
        assert_eq!(candles.iter().map(|candle| candle["trades"].as_u64().unwrap()).sum::<u64>(), 12);
        assert_eq!(candles.iter().map(|candle| scaled(field(candle, "gb_seconds"))).sum::<i128>(), energy);
        assert_eq!(candles[0]["open"], oldest["price"]);
        assert_eq!(candles[candles.len() - 1]["close"], Value::Null);
        let prices: BTreeSet<Price> = tape.iter().map(|trade| field(trade, "price").parse().unwrap()).collect();
        let spots = |name: &str| -> BTreeSet<Price> {
            candles.iter().filter_map(|candle| candle[name].as_str()).map(|price| price.parse().unwrap()).collect()
        };
        assert_eq!((spots("high"), spots("low")), (prices.clone(), prices));
        let later = list(&market, &format!("{path}&from={}", field(&candles[0], "at")), "candles").await;
        assert_eq!(later, *candles);
        assert_eq!(list(&market, &format!("{path}&to={}", field(&candles[0], "at")), "candles").await.len(), 0);
    }

    // Both sides of every entry.
    let (dev, seller) = (statement(&market, "dev").await, statement(&market, "edge-1").await);
    assert_eq!(dev.len(), 13);
    for (line, (id, cost)) in dev[..12].iter().rev().zip(&answered) {
        assert_eq!((field(line, "invocation_id"), field(line, "amount")), (id.as_str(), format!("-{cost}").as_str()));
        assert_eq!((field(line, "why"), field(line, "counter_account")), ("cost", "edge-1"));
    }
    assert_eq!((field(&dev[12], "why"), field(&dev[12], "amount")), ("deposit", "1000"));
    assert_eq!(seller.len(), 12);
    for (account, lines) in [("dev", &dev), ("edge-1", &seller)] {
        let mut balance = 0;
        for line in lines.iter().rev() {
            balance += scaled(field(line, "amount"));
            assert_eq!(scaled(field(line, "balance")), balance, "{line}");
        }
        let stands = market.get(&format!("/v1/accounts/{account}")).await.json();
        assert_eq!(field(&lines[0], "balance"), field(&stands, "balance"));
    }
    let cut = format!("/v1/accounts/dev/statement?from={}&to={}&limit=2", at(middle), at(newest));
    let cut = list(&market, &cut, "lines").await;
    assert!(cut.len() == 2 && cut.iter().all(|line| at(line) >= at(middle) && at(line) < at(newest)), "{cut:?}");

    // The record of each call.
    for (id, cost) in &answered {
        let record = market.get(&format!("/v1/invocations/{id}")).await.json();
        assert_eq!((field(&record, "state"), field(&record, "cost")), ("settled", cost.to_string().as_str()));
        let attempt = &record["attempts"][0];
        assert_eq!((field(attempt, "outcome"), field(attempt, "provider")), ("executed", "edge-1"));
        assert_eq!(field(attempt, "cost"), field(&record, "cost"));
        assert_eq!(format!("1-{}", record["decision_sequence"]), *id);
    }

    // The same on the command line.
    for (arguments, name) in [
        (&["trades", "local/wasm", "--limit", "1000"][..], "trades"),
        (&["candles", "local/wasm", "--interval", "1d"], "candles"),
        (&["accounts", "statement", "dev", "--limit", "1000"], "lines"),
    ] {
        let printed = command_line(&market, &[arguments, &["--output", "json"]].concat()).await;
        let parsed: Value = serde_json::from_str(&printed).unwrap();
        let table = command_line(&market, arguments).await;
        // The head has a second line, with the units.
        assert_eq!(table.lines().count(), parsed[name].as_array().unwrap().len() + 2, "{table}");
        if name == "lines" {
            assert_eq!(parsed["lines"], json!(dev));
        }
    }
    let since = ["trades", "local/wasm", "--output", "json", "--from", &at(middle)];
    let since: Value = serde_json::from_str(&command_line(&market, &since).await).unwrap();
    assert!(since["trades"].as_array().unwrap().contains(middle));
    market.stop().await;
}

async fn command_line(market: &Market, arguments: &[&str]) -> String {
    let output = merit().args(arguments).args(["--broker", &market.http]).output().await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns all answers of the archive, with the records of these invocations.
async fn everything(market: &Market, ids: &[(String, Money)]) -> Vec<Value> {
    let mut paths: Vec<String> = vec![format!("{WASM}/trades?limit=1000")];
    paths.extend(["1s", "1m", "1h", "1d"].map(|interval| format!("{WASM}/candles?interval={interval}")));
    paths.extend(["dev", "edge-1"].map(|account| format!("/v1/accounts/{account}/statement?limit=1000")));
    paths.extend(ids.iter().map(|(id, _)| format!("/v1/invocations/{id}")));
    let mut answers = Vec::new();
    for path in paths {
        let answer = market.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answers.push(answer.json());
    }
    answers
}

async fn what_was_kept_is_the_same_after_kill_9(shape: Shape) {
    let (mut market, answered) = traded(shape, 8).await;
    for _ in 0..2 {
        // The last call's settlement was answered just before.
        let before = everything(&market, &answered).await;
        let killed = market.processes.remove(0).kill().await;
        market.processes.insert(0, killed.start_again().await);
        assert_eq!(everything(&market, &answered).await, before);
    }
    market.stop().await;
}

async fn an_unusable_archive_is_made_anew_with_a_warning(shape: Shape) {
    let (mut market, answered) = traded(shape, 8).await;
    let before = everything(&market, &answered).await;
    let file = market.data_dir().join("archive.redb");
    type Spoil = fn(Vec<u8>) -> Vec<u8>;
    let garbage: [(&str, Spoil); 3] = [
        ("cut off", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("scribbled over", |bytes| bytes.iter().map(|byte| byte ^ 0x55).collect()),
        ("no database", |_| b"something else".repeat(1000)),
    ];
    for (what, spoil) in garbage {
        let killed = market.processes.remove(0).kill().await;
        std::fs::write(&file, spoil(std::fs::read(&file).unwrap())).unwrap();
        market.processes.insert(0, killed.start_again().await);
        assert_eq!(everything(&market, &answered).await, before, "{what}");
        let log = market.processes[0].log();
        assert!(
            log.contains("WARN the archive ") && log.contains("It is set aside as archive.redb.set-aside"),
            "{log}"
        );
    }
    // A lost archive is made anew as well.
    let killed = market.processes.remove(0).kill().await;
    std::fs::remove_file(&file).unwrap();
    market.processes.insert(0, killed.start_again().await);
    assert_eq!(everything(&market, &answered).await, before);
    market.stop().await;
}

#[tokio::test]
async fn what_is_no_question_is_answered_by_name() {
    let market = Market::start(Shape::AllInOne).await;
    let cases = [
        ("/v1/markets/local/wasm/trades?limit=0", 400, "limit: 0; from 1 to 1000"),
        ("/v1/markets/local/wasm/trades?limit=1001", 400, "limit: 1001; from 1 to 1000"),
        ("/v1/markets/local/wasm/trades?limit=many", 400, "limit: is not a whole number"),
        ("/v1/markets/local/wasm/trades?from=yesterday", 400, "from: `yesterday` is not an RFC 3339 time"),
        ("/v1/markets/local/wasm/trades?until=2026-01-01T00:00:00Z", 400, "unknown field `until`"),
        (
            "/v1/markets/local/wasm/trades?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
            400,
            "from: 2026-01-02T00:00:00Z is after `to`",
        ),
        ("/v1/markets/LOCAL/wasm/trades", 400, "the path's market"),
        ("/v1/markets/mars/wasm/trades", 404, "mars/wasm"),
        ("/v1/markets/local/wasm/candles?interval=2m", 400, "unknown variant `2m`, expected one of `1s`, `1m`"),
        ("/v1/markets/local/wasm/candles?limit=1501", 400, "limit: 1501; from 1 to 1500"),
        ("/v1/markets/local/wasm/candles?before=7", 400, "unknown field `before`"),
        ("/v1/markets/mars/wasm/candles", 404, "mars/wasm"),
        ("/v1/accounts/nobody/statement", 404, "nobody"),
        ("/v1/accounts/No%20body/statement", 400, "the path's `No body`"),
        ("/v1/accounts/dev/statement?to=1", 400, "to: `1` is not an RFC 3339 time"),
        ("/v1/invocations/1-999999", 404, "1-999999"),
        ("/v1/invocations/first", 400, "`first` is not an invocation id"),
    ];
    for (path, status, expected) in cases {
        let answer = market.call(Method::GET, path, &[], "").await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
        assert!(answer.message().contains(expected), "{path}: {}", answer.message());
    }
    market.stop().await;
}
