//! The load generator and the invocation bench against real sockets and a real nginx.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use merit_sim::invoke_bench::{self, InvokeBenchSettings, Target};
use merit_sim::load::{Load, Receipt, run};
use tokio::net::TcpListener;

fn load(server: SocketAddr) -> Load {
    Load {
        server,
        path: "/".to_owned(),
        headers: HeaderMap::new(),
        payload: Bytes::from_static(b"payload"),
        connections: 4,
        duration: Duration::from_secs(20),
        requests_max: Some(40),
        keeps_receipts: true,
    }
}

/// Answers each path in its own way; `/close` answers nothing and closes the connection.
async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| async move { answer(request.uri().path()) });
            drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

fn answer(path: &str) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let response = Response::builder();
    let response = match path {
        "/close" => return Err(std::io::ErrorKind::BrokenPipe.into()),
        "/full" => response.status(StatusCode::TOO_MANY_REQUESTS),
        _ => response.header("merit-invocation-id", "1-7").header("merit-cost", "0.0000005"),
    };
    Ok(response.body(Full::new(Bytes::from_static(b"answer"))).unwrap())
}

async fn backend() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener));
    address
}

#[tokio::test]
async fn it_sends_the_asked_requests_and_keeps_each_receipt() {
    let outcome = run(load(backend().await)).await.unwrap();
    assert_eq!((outcome.answered, outcome.broken, outcome.unconnected), (40, 0, 0));
    let receipt = Receipt { invocation: "1-7".parse().unwrap(), cost: "0.0000005".parse().unwrap() };
    assert_eq!(outcome.receipts, vec![receipt; 40]);
    assert_eq!(outcome.latency_us.len(), 40);
    assert!(outcome.percentile_us(0.99) >= outcome.percentile_us(0.5));
    assert!(outcome.requests_per_second() > 1.0);
}

#[tokio::test]
async fn failed_answers_are_counted_by_status() {
    let outcome = run(Load { path: "/full".to_owned(), ..load(backend().await) }).await.unwrap();
    assert_eq!(outcome.errors, BTreeMap::from([(StatusCode::TOO_MANY_REQUESTS, 40)]));
    assert_eq!((outcome.answered, outcome.receipts.len()), (0, 0));
}

#[tokio::test]
async fn a_broken_connection_is_counted_and_opened_again() {
    let outcome = run(Load { path: "/close".to_owned(), ..load(backend().await) }).await.unwrap();
    assert_eq!((outcome.answered, outcome.broken), (0, 40));
}

#[tokio::test]
async fn a_lost_server_is_tried_until_the_time_is_over() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = run(Load { duration: Duration::from_millis(100), ..load(gone) }).await.unwrap();
    assert!(outcome.unconnected >= 4, "{}", outcome.unconnected);
    assert_eq!((outcome.answered, outcome.broken), (0, 0));
}

#[test]
fn the_invocation_bench_measures_nginx_beside_nothing() {
    let report = invoke_bench::run(InvokeBenchSettings {
        merit: "merit".into(),
        forwarder: "merit".into(),
        targets: vec![Target::Nginx, Target::Direct],
        connections: vec![1, 4],
        seconds: 0.2,
        rounds: 1,
    })
    .unwrap();
    assert!(report.missing.is_empty(), "nginx is not installed: see packages.txt");
    assert_eq!(report.rows.len(), 4);
    for row in &report.rows {
        assert!(row.requests_per_second > 10.0 && row.p99_us >= row.p50_us, "{row:?}");
        assert_eq!(row.cpu_us_per_request.is_some(), row.target == Target::Nginx, "{row:?}");
    }
}
