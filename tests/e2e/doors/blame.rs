//! Blame for a failed call: the fault of a caller or of the function itself never counts against the provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use futures_util::StreamExt;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use merit_adapters::agent;
use merit_proto::v1;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::market::{Market, Shape};
use crate::raw_session::{RawSession, logon};
use crate::seller::rung;

/// Behaviour of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Waits,
    GivesUp,
    HangsUp,
    BreaksOffItsPayload,
    SendsTooMuch,
}

/// Behaviour of the server at the provider's endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Answers(u16),
    /// Answers with more headers than a broker takes.
    AnswersTooManyHeaders,
    /// Reads the whole request, and never answers.
    Hangs,
    Resets,
    IsNotThere,
}

/// A name in the path of each request, which tells them from what another test still sends to a port that was its own.
const FUNCTION: &str = "blamed";

/// Failures in a row that send a provider behind.
const IN_A_ROW: usize = 3;

const AGENT: v1::Adapter = v1::Adapter::Agent;
const PLAIN: v1::Adapter = v1::Adapter::Http;

/// Adapter, server and caller, and whether the provider is blamed.
const TABLE: [(v1::Adapter, Server, Caller, bool); 22] = [
    (PLAIN, Server::Answers(400), Caller::Waits, false),
    (PLAIN, Server::Answers(404), Caller::Waits, false),
    (PLAIN, Server::Answers(408), Caller::Waits, false),
    (PLAIN, Server::Answers(413), Caller::Waits, false),
    (PLAIN, Server::Answers(429), Caller::Waits, false),
    (PLAIN, Server::Answers(500), Caller::Waits, false),
    (PLAIN, Server::Hangs, Caller::GivesUp, false),
    (PLAIN, Server::Hangs, Caller::HangsUp, false),
    (PLAIN, Server::Hangs, Caller::BreaksOffItsPayload, false),
    (PLAIN, Server::Hangs, Caller::SendsTooMuch, false),
    (AGENT, Server::Answers(400), Caller::Waits, false),
    (AGENT, Server::Answers(408), Caller::Waits, false),
    (AGENT, Server::Answers(413), Caller::Waits, false),
    (AGENT, Server::Hangs, Caller::GivesUp, false),
    (AGENT, Server::Hangs, Caller::HangsUp, false),
    (PLAIN, Server::Answers(502), Caller::Waits, false),
    (PLAIN, Server::Answers(503), Caller::Waits, false),
    (PLAIN, Server::AnswersTooManyHeaders, Caller::Waits, false),
    (AGENT, Server::AnswersTooManyHeaders, Caller::Waits, true),
    (AGENT, Server::Answers(403), Caller::Waits, true),
    (PLAIN, Server::Resets, Caller::Waits, true),
    (PLAIN, Server::IsNotThere, Caller::Waits, true),
];

/// Number of requests, and a notice of the first.
#[derive(Default)]
struct Requests {
    begun: Notify,
    requests: AtomicUsize,
}

impl Requests {
    fn one_more(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.begun.notify_one();
    }
}

async fn hang(request: Request) -> Response {
    let mut body = request.into_body().into_data_stream();
    while let Some(Ok(_)) = body.next().await {}
    std::future::pending().await
}

/// Returns a response that says by its header that an agent took nothing; a function server's header says nothing.
fn with_status(status: u16) -> Response {
    let mut response = Response::new(Body::from("mine"));
    agent::write_not_sent(response.headers_mut(), "mine");
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn with_many_headers() -> Response {
    let mut response = Response::new(Body::empty());
    for number in 0..=agent::HEADERS_MAX {
        response.headers_mut().insert(HeaderName::try_from(format!("x-{number}")).unwrap(), HeaderValue::from(1));
    }
    response
}

/// Starts a server of this kind. Returns its endpoint and the requests that it gets.
async fn server(server: Server, tasks: &mut JoinSet<()>) -> (String, Arc<Requests>) {
    let seen = Arc::new(Requests::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let sees = seen.clone();
    match server {
        Server::IsNotThere => {}
        Server::Resets => drop(tasks.spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                // It resets after the first byte.
                connection.read_u8().await.ok();
                sees.one_more();
            }
        })),
        Server::Answers(_) | Server::AnswersTooManyHeaders | Server::Hangs => {
            let router = Router::new().fallback(any(async move |request: Request| {
                if request.uri().path().contains(FUNCTION) {
                    sees.one_more();
                }
                match server {
                    Server::Answers(status) => with_status(status),
                    Server::AnswersTooManyHeaders => with_many_headers(),
                    _ => hang(request).await,
                }
            }));
            tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        }
    }
    (endpoint, seen)
}

/// Opens a request by hand with a payload of unknown length.
async fn open(market: &Market) -> TcpStream {
    let mut connection = TcpStream::connect(market.http.trim_start_matches("http://")).await.unwrap();
    let head = format!("POST /fn/{FUNCTION} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

fn megabyte() -> Vec<u8> {
    [format!("{:x}\r\n", 1 << 20).as_bytes(), &vec![b'z'; 1 << 20], b"\r\n"].concat()
}

async fn call(market: &Market, caller: Caller, seen: &Requests) {
    match caller {
        Caller::Waits => drop(market.call(Method::POST, &format!("/fn/{FUNCTION}"), &[], "1").await),
        Caller::GivesUp => {
            drop(market.call(Method::POST, &format!("/fn/{FUNCTION}"), &[("merit-deadline", "+300ms")], "1").await)
        }
        Caller::HangsUp => {
            let mut connection = open(market).await;
            connection.write_all(b"0\r\n\r\n").await.unwrap();
            seen.begun.notified().await;
        }
        Caller::BreaksOffItsPayload => {
            let mut connection = open(market).await;
            connection.write_all(&megabyte()).await.unwrap();
            seen.begun.notified().await;
        }
        Caller::SendsTooMuch => {
            let mut connection = open(market).await;
            for _ in 0..21 {
                if connection.write_all(&megabyte()).await.is_err() {
                    break;
                }
            }
            let mut answer = [0; 12];
            connection.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 413");
        }
    }
}

/// Returns the provider's back-offs, once the call is over.
async fn health(market: &Market) -> Value {
    market.until_leases_of("bad", |leases| leases == 0).await;
    let listed = market.get("/v1/providers").await.json();
    listed["providers"].as_array().unwrap().iter().find(|provider| provider["name"] == "bad").unwrap()["health"].clone()
}

async fn check((adapter, kind, caller, is_blamed): (v1::Adapter, Server, Caller, bool)) {
    let (market, mut tasks) = (Market::start(Shape::AllInOne).await, JoinSet::new());
    let (endpoint, seen) = server(kind, &mut tasks).await;
    let mut session = RawSession::start(&market, v1::Logon { endpoint, adapter: adapter.into(), ..logon("bad") }).await;
    session.quote("local/wasm", vec![rung(1, 1024, 1_000_000)]).await;
    // A short timeout, so that an unknown call soon gives its capacity back.
    let deployments = json!([{"provider": "bad", "target": format!("/{FUNCTION}")}]);
    let definition = json!({"providers": "any", "timeout_ms": 2000, "deployments": deployments}).to_string();
    let put = market.call(Method::PUT, &format!("/v1/functions/{FUNCTION}"), &[], definition).await;
    assert_eq!(put.status, 200, "{put:?}");
    for _ in 0..IN_A_ROW {
        call(&market, caller, &seen).await;
    }
    let health = health(&market).await;
    let place = format!("{adapter:?}, {kind:?}, {caller:?}: {health}");
    assert_eq!(health != json!([]), is_blamed, "{place}");
    let is_there = kind != Server::IsNotThere;
    let calls = if is_there { IN_A_ROW } else { 0 };
    assert_eq!(seen.requests.load(Ordering::Relaxed), calls, "{place}: each call reached it once");
}

#[tokio::test]
async fn a_provider_is_blamed_for_its_own_failures_alone() {
    // A few at a time: each has a market of its own.
    for cases in TABLE.chunks(5) {
        cases.iter().map(|case| check(*case)).collect::<JoinSet<()>>().join_all().await;
    }
}
