//! Connections, messages and streams of strangers, at every port of a process that may open few files.

use std::time::Duration;

use merit_proto::v1;
use merit_proto::v1::market_data_client::MarketDataClient;
use merit_proto::v1::provider_gateway_client::ProviderGatewayClient;
use merit_proto::v1::provider_message::Message as Said;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::market::{Market, Shape};
use crate::process::{PATIENCE, Process};
use crate::raw_session::logon;

/// The limit on open files, and more connections than it allows.
const OPEN_FILES: u32 = 300;
const SILENT: usize = 600;

/// Starts a market in a process that may open few files.
async fn market_with_few_files() -> Market {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let up = ["up", "--no-demo", "--data-dir", &data, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
    let process = Process::start_limited(&up, &dir.path().join("up.log"), OPEN_FILES).await;
    Market::of(vec![process], dir)
}

/// Opens connections that say nothing. Returns those that came about.
async fn silent_connections(address: &str) -> Vec<TcpStream> {
    let mut connections = Vec::new();
    for _ in 0..SILENT {
        let connecting = TcpStream::connect(address.trim_start_matches("http://"));
        if let Ok(Ok(connection)) = tokio::time::timeout(Duration::from_secs(1), connecting).await {
            connections.push(connection);
        }
    }
    connections
}

#[tokio::test]
async fn silent_connections_keep_nobody_out() {
    let market = market_with_few_files().await;
    let first = market.provider("first", &[]).await;
    market.deploy("echo", json!({})).await;
    for port in [&market.grpc, &market.http] {
        let silent = silent_connections(port).await;
        assert!(silent.len() > OPEN_FILES as usize, "{}", silent.len());
        // By new connections, and by those of before.
        let mut called = TcpStream::connect(market.http.trim_start_matches("http://")).await.unwrap();
        called.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut told = String::new();
        tokio::time::timeout(PATIENCE, called.read_to_string(&mut told)).await.expect("it is answered").unwrap();
        assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
        assert_eq!(market.invoke("echo", "still").await.text(), "still");
        let second = market.provider("second", &[]).await;
        assert!(second.stop().await.success());
        drop(silent);
    }
    assert!(first.stop().await.success());
    market.stop().await;
}

#[tokio::test]
async fn the_journal_needs_no_file_that_strangers_may_take() {
    let market = market_with_few_files().await;
    let _silent = (silent_connections(&market.grpc).await, silent_connections(&market.http).await);
    let environment: serde_json::Map<_, _> =
        (0..60).map(|name| (format!("k{name}"), json!("v".repeat(4_000)))).collect();
    // More than a segment of the journal, 64 MB.
    for number in 0..300 {
        let definition = json!({"memory_mb": 64, "timeout_ms": 1000, "environment": environment}).to_string();
        let path = format!("/v1/functions/f{}", number % 50);
        let answer = market.call(http::Method::PUT, &path, &[], definition).await;
        assert_eq!(answer.status, 200, "{number}: {answer:?}");
    }
    let segments = std::fs::read_dir(market.data_dir()).unwrap();
    let segments = segments.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().ends_with(".segment"));
    assert!(segments.count() > 1);
    market.stop().await;
}

#[tokio::test]
async fn a_caller_of_the_grpc_port_by_http_is_told() {
    let market = Market::start(Shape::AllInOne).await;
    let answer = market.request(http::Method::GET, &format!("{}/", market.grpc), &[], "").await.unwrap();
    assert_eq!(answer.status, 505);
    assert!(answer.text().contains("gRPC port") && answer.text().contains("HTTP port"), "{answer:?}");
    market.stop().await;
}

/// Logs on and returns the end of the session.
async fn refusal(market: &Market, logon: v1::Logon) -> Status {
    let said = tokio_stream::iter([v1::ProviderMessage { message: Some(Said::Logon(logon)) }]);
    let mut client = ProviderGatewayClient::connect(market.grpc.clone()).await.unwrap();
    let mut heard = match client.session(said).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return status,
    };
    loop {
        match heard.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended without a reason"),
            Err(status) => return status,
        }
    }
}

#[tokio::test]
async fn a_stranger_s_logon_is_short() {
    let market = Market::start(Shape::AllInOne).await;
    let refused = refusal(&market, v1::Logon { key: "k".repeat(70_000), ..logon("long") }).await;
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("at most 65536"), "{refused}");
    market.stop().await;
}

#[tokio::test]
async fn subscriptions_of_one_address_are_bounded() {
    let market = Market::start(Shape::AllInOne).await;
    let endpoint = Endpoint::from_shared(market.grpc.clone()).unwrap();
    let mut held = Vec::new();
    let refused = loop {
        let mut client = MarketDataClient::new(endpoint.connect().await.unwrap());
        match client.subscribe(v1::SubscribeRequest::default()).await {
            Ok(stream) => held.push((client, stream)),
            Err(refused) => break refused,
        }
    };
    assert_eq!((held.len(), refused.code()), (64, Code::ResourceExhausted), "{refused}");
    held.pop();
    crate::process::eventually("one that ended makes room", || async {
        let mut client = MarketDataClient::new(endpoint.connect().await.unwrap());
        client.subscribe(v1::SubscribeRequest::default()).await.ok().map(drop)
    })
    .await;
    market.stop().await;
}
