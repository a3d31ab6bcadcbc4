//! Providers that fail in every way: the caller's answer, the charge, and the next attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::any;
use http::Method;
use merit_proto::v1;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::market::{Answer, Market, Shape};
use crate::raw_session::{RawSession, logon};
use crate::seller::rung;

/// Behaviour of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misbehaviour {
    Refuses,
    Resets,
    Hangs,
    Garbage,
    OwnError,
    GatewayError,
    Throttles,
    Drips,
    BreaksOff,
    SaysAbsurdUsage,
}

/// The expected answer to a caller.
struct Expected {
    status: u16,
    /// Provider that answered; empty: none.
    by: &'static str,
    attempts: &'static str,
    is_charged: bool,
    /// Certainty of the execution, in a failure's details.
    execution: &'static str,
}

const fn answered(status: u16, by: &'static str, attempts: &'static str, is_charged: bool) -> Expected {
    Expected { status, by, attempts, is_charged, execution: "" }
}

const fn failed(status: u16, execution: &'static str) -> Expected {
    Expected { status, by: "", attempts: "", is_charged: false, execution }
}

/// Each behaviour, for a call that may not run twice and for one that may. A good provider comes next, at a higher
/// price.
const TABLE: [(Misbehaviour, Expected, Expected); 10] = [
    (Misbehaviour::Refuses, answered(200, "good", "2", true), answered(200, "good", "2", true)),
    (Misbehaviour::Resets, failed(502, "unknown"), answered(200, "good", "2", true)),
    (Misbehaviour::Hangs, failed(504, "unknown"), failed(504, "unknown")),
    (Misbehaviour::Garbage, failed(502, "unknown"), answered(200, "good", "2", true)),
    (Misbehaviour::OwnError, answered(500, "bad", "1", true), answered(500, "bad", "1", true)),
    (Misbehaviour::GatewayError, answered(503, "bad", "1", true), answered(200, "good", "2", true)),
    (Misbehaviour::Throttles, answered(429, "bad", "1", true), answered(429, "bad", "1", true)),
    (Misbehaviour::Drips, answered(200, "bad", "1", true), answered(200, "bad", "1", true)),
    (Misbehaviour::BreaksOff, failed(502, "unknown"), answered(200, "good", "2", true)),
    (Misbehaviour::SaysAbsurdUsage, answered(200, "bad", "1", true), answered(200, "bad", "1", true)),
];

/// Answers one connection after another.
async fn misbehave(way: Misbehaviour, mut connection: TcpStream) {
    let mut request = [0; 4096];
    if connection.read(&mut request).await.is_err() {
        return;
    }
    let answer: &[u8] = match way {
        // It listens nowhere.
        Misbehaviour::Refuses | Misbehaviour::Resets => return,
        Misbehaviour::Hangs => std::future::pending().await,
        Misbehaviour::Garbage => b"\x16\x03\x01 what is this\r\n\r\n",
        Misbehaviour::OwnError => b"HTTP/1.1 500 Mine\r\nContent-Length: 4\r\n\r\nmine",
        Misbehaviour::GatewayError => b"HTTP/1.1 503 Gateway\r\nContent-Length: 0\r\n\r\n",
        Misbehaviour::Throttles => b"HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n",
        Misbehaviour::Drips => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        Misbehaviour::BreaksOff => b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        Misbehaviour::SaysAbsurdUsage => {
            b"HTTP/1.1 200 OK\r\nMerit-Outcome: ok\r\n\
              Merit-Usage: wall_us=18446744073709551615;cpu_us=18446744073709551615;cold_us=0;memory_mb=1\r\n\
              Content-Length: 5\r\n\r\nhello"
        }
    };
    let step = if way == Misbehaviour::Drips { 1 } else { answer.len() };
    for part in answer.chunks(step) {
        if connection.write_all(part).await.is_err() {
            return;
        }
        if way == Misbehaviour::Drips {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Starts a good function server, whose rung costs twice as much.
async fn good(market: &Market, tasks: &mut JoinSet<()>) -> RawSession {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(any(async || "well"));
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    let logon = v1::Logon { endpoint, adapter: v1::Adapter::Http.into(), ..logon("good") };
    let mut session = RawSession::start(market, logon).await;
    session.quote("local/wasm", vec![rung(1, 1024, 2_000_000)]).await;
    session
}

async fn bad(market: &Market, way: Misbehaviour, tasks: &mut JoinSet<()>) -> RawSession {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    if way != Misbehaviour::Refuses {
        tasks.spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(misbehave(way, connection));
            }
        });
    }
    // Only an agent's report of usage is heard.
    let adapter = if way == Misbehaviour::SaysAbsurdUsage { v1::Adapter::Agent } else { v1::Adapter::Http };
    let logon = v1::Logon { endpoint, adapter: adapter.into(), ..logon("bad") };
    let mut session = RawSession::start(market, logon).await;
    session.quote("local/wasm", vec![rung(1, 1024, 1_000_000)]).await;
    session
}

async fn check(way: Misbehaviour, idempotent: bool, expected: &Expected) {
    let mut tasks = JoinSet::new();
    let market = Market::start(Shape::AllInOne).await;
    let _sessions = (good(&market, &mut tasks).await, bad(&market, way, &mut tasks).await);
    let deployments = json!([{"provider": "good", "target": "/"}, {"provider": "bad", "target": "/"}]);
    market.deploy("echo", json!({"idempotent": idempotent, "timeout_ms": 3000, "deployments": deployments})).await;
    let started = std::time::Instant::now();
    let answer = market.invoke_with("echo", &[("merit-deadline", "+700ms")], "1").await;
    let took = started.elapsed();
    let place = format!("{way:?}, idempotent: {idempotent}: {answer:?}");
    assert_eq!(answer.status.as_u16(), expected.status, "{place}");
    if expected.by.is_empty() {
        assert_eq!(answer.json()["error"]["details"]["execution"], expected.execution, "{place}");
    } else {
        assert_eq!(
            [answer.header("merit-provider"), answer.header("merit-attempts")],
            [expected.by, expected.attempts]
        );
        let billed_ms: u64 = answer.header("merit-billed-ms").parse().unwrap();
        assert!(billed_ms <= took.as_millis() as u64 + 1, "billed by what was observed, at most: {place}");
    }
    let spent = spent(&market, &answer).await;
    assert_eq!(spent != "0", expected.is_charged, "{spent}: {place}");
}

/// Returns the sum that the account has paid, by its statement.
async fn spent(market: &Market, answer: &Answer) -> String {
    let id = answer.header("merit-invocation-id");
    let record = market.get(&format!("/v1/invocations/{id}")).await.json();
    record["cost"].as_str().unwrap_or("0").to_owned()
}

#[tokio::test]
async fn every_failure_has_its_answer_charge_and_next_attempt() {
    // A few at a time: each has a market of its own.
    for ways in TABLE.chunks(5) {
        let mut checks = JoinSet::new();
        for (way, once, twice) in ways {
            let way = *way;
            checks.spawn(check(way, false, once));
            checks.spawn(check(way, true, twice));
        }
        checks.join_all().await;
    }
}

/// Starts a function server that fails one call in three in a random way, after counting it.
async fn flaky(seed: u64, counted: Arc<Counted>, tasks: &mut JoinSet<()>, fails: bool) -> String {
    use rand::{RngExt, SeedableRng};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tasks.spawn(async move {
        let mut chance = rand_pcg::Pcg32::seed_from_u64(seed);
        while let Ok((connection, _)) = listener.accept().await {
            let (counted, way) = (counted.clone(), chance.random_range(0..9));
            tokio::spawn(serve_flaky(connection, counted, if fails { way } else { 9 }));
        }
    });
    endpoint
}

/// Number of runs of each payload.
#[derive(Default)]
struct Counted(Mutex<std::collections::HashMap<String, usize>>);

async fn serve_flaky(mut connection: TcpStream, counted: Arc<Counted>, way: u32) {
    loop {
        let Some(payload) = read_payload(&mut connection).await else { return };
        // 0: it neither runs nor answers, so nobody can know.
        if way == 0 {
            return;
        }
        *counted.0.lock().await.entry(payload).or_default() += 1;
        let answer = match way {
            1 => "HTTP/1.1 503 Gateway\r\nContent-Length: 0\r\n\r\n",
            2 => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell",
        };
        if connection.write_all(answer.as_bytes()).await.is_err() || way == 2 {
            return;
        }
    }
}

/// Reads the body of the next request, which has a length.
async fn read_payload(connection: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(body.to_owned());
            }
        }
        if connection.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
}

#[tokio::test]
async fn random_failures_hide_from_idempotent_calls_others_run_once() {
    let (mut tasks, counted) = (JoinSet::new(), Arc::new(Counted::default()));
    let market = Arc::new(Market::start(Shape::AllInOne).await);
    let mut sessions = Vec::new();
    for (name, seed) in [("a", 1), ("b", 2), ("c", 3)] {
        let endpoint = flaky(seed, counted.clone(), &mut tasks, name == "a").await;
        let pools = vec![v1::PoolSize { memory_mb: 8192, slots: 64 }];
        let logon = v1::Logon { endpoint, pools, adapter: v1::Adapter::Http.into(), ..logon(name) };
        let mut session = RawSession::start(&market, logon).await;
        // The failing one is the cheapest.
        session.quote("local/wasm", vec![rung(1, 8192, 1_000_000 * seed)]).await;
        sessions.push(session);
    }
    let deployments = json!(["a", "b", "c"].map(|provider| json!({"provider": provider, "target": "/"})));
    for (name, idempotent) in [("twice", true), ("once", false)] {
        let definition = json!({"providers": "any", "idempotent": idempotent, "deployments": deployments});
        let put = market.call(Method::PUT, &format!("/v1/functions/{name}"), &[], definition.to_string()).await;
        assert_eq!(put.status, 200, "{put:?}");
    }
    let (mut calls, failures) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for caller in 0..16 {
        let (market, failures) = (market.clone(), failures.clone());
        calls.spawn(async move {
            for number in 0..40 {
                for name in ["twice", "once"] {
                    let payload = Bytes::from(format!("{name}-{caller}-{number}"));
                    let answer = market.invoke(name, payload).await;
                    // Unknown, or the function's own answer.
                    let failed = matches!(answer.status.as_u16(), 502 | 503) && name == "once";
                    assert!(answer.status == 200 || failed, "{name}: {answer:?}");
                    failures.fetch_add(usize::from(failed), Ordering::Relaxed);
                }
            }
        });
    }
    calls.join_all().await;
    let counted = counted.0.lock().await;
    for (payload, runs) in counted.iter() {
        assert!(payload.starts_with("twice") || *runs == 1, "{payload} ran {runs} times");
    }
    let ran = |name: &str| counted.keys().filter(|payload| payload.starts_with(name)).count();
    assert_eq!(ran("twice"), 640, "every idempotent call ran");
    assert!(failures.load(Ordering::Relaxed) > 0, "some failed, or nothing was tried");
}

/// Answers the first request of a connection, and closes it when the next one comes.
async fn answer_once(mut connection: TcpStream) {
    if read_payload(&mut connection).await.is_some() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell";
        connection.write_all(answer.as_bytes()).await.ok();
        connection.readable().await.ok();
    }
}

#[tokio::test]
async fn a_kept_connection_that_breaks_is_noticed_by_no_caller() {
    let (market, mut tasks) = (Market::start(Shape::AllInOne).await, JoinSet::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tasks.spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(answer_once(connection));
        }
    });
    let logon = v1::Logon { endpoint, adapter: v1::Adapter::Http.into(), ..logon("once") };
    let mut session = RawSession::start(&market, logon).await;
    session.quote("local/wasm", vec![rung(1, 1024, 1_000_000)]).await;
    let deployments = json!([{"provider": "once", "target": "/"}]);
    market.deploy("echo", json!({"idempotent": true, "deployments": deployments})).await;
    for _ in 0..6 {
        let answer = market.invoke("echo", "1").await;
        assert_eq!((answer.status.as_u16(), answer.header("merit-attempts")), (200, "1"), "{answer:?}");
    }
    let listed = market.get("/v1/providers").await.json();
    assert_eq!(listed["providers"][0]["health"], json!([]));
    market.stop().await;
}
