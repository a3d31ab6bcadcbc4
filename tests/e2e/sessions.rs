//! Sessions of providers with the exchange: fencing, refused quotes, restarts of either side; and gRPC reflection.

use merit_proto::v1;
use serde_json::{Value, json};
use tokio_stream::StreamExt;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::in_both_shapes;
use crate::market::{Market, Shape};
use crate::process::{eventually, merit};
use crate::seller::{Seller, rung};

in_both_shapes! {
    a_second_session_of_a_provider_ends_the_first
    a_quote_out_of_bounds_is_refused_rung_by_rung
    a_quote_that_was_seen_before_is_stale
    a_provider_that_cannot_sell_says_why_and_ends
    a_provider_that_restarts_sells_again
    health_and_reflection_describe_the_services
}

async fn offers(market: &Market) -> Value {
    market.get("/v1/markets/local/wasm/book").await.json()["offers"].clone()
}

async fn check_served_by(market: &Market, provider: &str) {
    let answer = market.invoke("echo", "hello").await;
    assert_eq!((answer.text(), answer.header("merit-provider")), ("hello", provider), "{answer:?}");
}

async fn a_second_session_of_a_provider_ends_the_first(shape: Shape) {
    let market = Market::start(shape).await;
    market.deploy("echo", json!({})).await;
    let first = market.provider("edge-1", &["--per-request", "0.000002", "--per-gb-second", "0"]).await;
    let second = market.provider("edge-1", &["--per-request", "0.000001", "--per-gb-second", "0"]).await;
    let log = market.dir.path().join("edge-1.log");
    assert_eq!(first.ended().await.code(), Some(1));
    let log = std::fs::read_to_string(log).unwrap();
    let told = "the session ended: another session of the provider `edge-1` has logged on";
    assert!(log.contains(told), "{log}");
    // The end of the first session takes nothing from the second.
    assert_eq!(offers(&market).await, json!([{"price": "0.00002", "capacity_mb": 2048, "free_mb": 2048, "offers": 1}]));
    check_served_by(&market, "edge-1").await;
    assert!(second.stop().await.success());
    market.until_offers_of("edge-1", false).await;
}

async fn a_quote_out_of_bounds_is_refused_rung_by_rung(shape: Shape) {
    let market = Market::start(shape).await;
    market.deploy("echo", json!({})).await;
    let mut seller = Seller::start(&market, "seller", 1024, 4).await;
    seller.quote("local/wasm", vec![rung(1, 1024, 1_000_000)]).await;
    let before = offers(&market).await;

    let with_tariff = |id, change: fn(&mut v1::Tariff)| {
        let mut wrong = rung(id, 1024, 1_000_000);
        change(wrong.tariff.as_mut().unwrap());
        wrong
    };
    let wrong = vec![
        rung(1, 1024, 900_000),
        // -1 USD in two's complement.
        with_tariff(2, |tariff| tariff.per_gb_second = (-1_000_000_000_000_i64) as u64),
        with_tariff(3, |tariff| tariff.per_request = 1_000_000_000_001),
        with_tariff(4, |tariff| tariff.increment_ms = 0),
        rung(5, 0, 1_000_000),
        v1::Rung { memory_min_mb: 512, memory_max_mb: 256, ..rung(6, 1024, 1_000_000) },
        v1::Rung { pool: 1, ..rung(7, 1024, 1_000_000) },
        v1::Rung { longest_ms: 3_600_001, ..rung(8, 1024, 1_000_000) },
        rung(1, 1024, 800_000),
    ];
    let refused = seller.try_quote("local/wasm", wrong).await.unwrap_err();
    let reasons: Vec<(u32, &str)> = refused.rungs.iter().map(|rung| (rung.id, rung.reason.as_str())).collect();
    let expected = [
        (2, "per_gb_second is 18446743.073709551616 USD; at most 1 USD"),
        (3, "per_request is 1.000000000001 USD; at most 1 USD"),
        (4, "increment_ms is 0; 1 to 60000"),
        (5, "capacity_mb is 0; 1 to 1073741824"),
        (6, "memory_max_mb is 256; 512 to 65536"),
        (7, "there is no pool 1; the logon stated 1"),
        (8, "longest_ms is 3600001; 1 to 3600000"),
        (1, "the rung's id stands twice in the ladder"),
    ];
    assert_eq!(reasons.len(), expected.len(), "{refused:?}");
    for ((id, reason), (expected_id, expected)) in reasons.iter().zip(expected) {
        assert!(*id == expected_id && reason.contains(expected), "{id}: `{reason}` is not `{expected}`");
    }

    let many = (1..=65).map(|id| rung(id, 1, 1_000_000)).collect();
    let refused = seller.try_quote("local/wasm", many).await.unwrap_err();
    assert!(refused.message.contains("65 rungs; at most 64"), "{refused:?}");
    let bare = v1::Rung { tariff: None, ..rung(1, 1024, 1) };
    let refused = seller.try_quote("local/wasm", vec![bare]).await.unwrap_err();
    assert!(refused.message.contains("tariff: is missing"), "{refused:?}");
    let refused = seller.try_quote("nowhere/wasm", vec![rung(1, 1024, 1)]).await.unwrap_err();
    assert_eq!(refused.code, "not_found");
    assert!(refused.message.contains("nowhere/wasm"), "{refused:?}");

    assert_eq!(offers(&market).await, before);
    let answer = market.invoke("echo", "1").await;
    assert_eq!([answer.header("merit-provider"), answer.header("merit-cost")], ["seller", "0.000001"]);
}

async fn a_quote_that_was_seen_before_is_stale(shape: Shape) {
    let market = Market::start(shape).await;
    let mut seller = Seller::start(&market, "seller", 1024, 4).await;
    seller.try_quote_as(7, "local/wasm", vec![rung(1, 1024, 1_000_000)]).await.unwrap();
    let before = offers(&market).await;
    for number in [7, 6, 0] {
        let refused = seller.try_quote_as(number, "local/wasm", vec![rung(1, 512, 500_000)]).await.unwrap_err();
        assert_eq!(refused.code, "stale_quote", "{refused:?}");
        assert_eq!(offers(&market).await, before);
    }
    seller.try_quote_as(8, "local/wasm", vec![rung(1, 512, 500_000)]).await.unwrap();
    assert_ne!(offers(&market).await, before);
}

async fn a_provider_that_cannot_sell_says_why_and_ends(shape: Shape) {
    let market = Market::start(shape).await;
    let check = async |arguments: &[&str], told: &str| {
        let all = [&["provider", "--name", "edge-1", "--exchange", &market.grpc], arguments].concat();
        let output = merit().args(all).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(told), "{arguments:?}: {said}");
    };
    check(&["--market", "nowhere/wasm"], "there is no market `nowhere/wasm`").await;
    check(&["--market", "nowhere"], "nowhere").await;
    check(&["--per-gb-second", "2"], "per_gb_second is 2 USD; at most 1 USD").await;
    check(&["--per-gb-second=-1"], "invalid value '-1'").await;
    check(&["--memory-mb", "0"], "capacity_mb is 0; 1 to").await;
    check(&["--endpoint", "nonsense"], "`nonsense` is not a").await;
    assert_eq!(offers(&market).await, json!([]));
}

async fn a_provider_that_restarts_sells_again(shape: Shape) {
    let market = Market::start(shape).await;
    market.deploy("echo", json!({})).await;
    for _ in 0..2 {
        let edge = market.provider("edge-1", &[]).await;
        check_served_by(&market, "edge-1").await;
        assert!(edge.stop().await.success());
        market.until_offers_of("edge-1", false).await;
        let refused = market.invoke("echo", "hello").await;
        assert_eq!(refused.code(), "no_eligible_provider", "{refused:?}");
    }
}

#[tokio::test]
async fn after_an_exchange_restart_providers_and_brokers_go_on() {
    let mut market = Market::start(Shape::ThreeProcesses).await;
    market.deploy("echo", json!({})).await;
    let _edge = market.provider("edge-1", &["--per-request", "0.000001", "--per-gb-second", "0"]).await;
    check_served_by(&market, "edge-1").await;
    let spent = market.get("/v1/accounts/dev").await.json();

    let killed = market.processes.remove(0).kill().await;
    let refused = market.invoke("echo", "hello").await;
    assert_eq!(refused.status, 503, "{refused:?}");
    market.processes.insert(0, killed.start_again().await);

    eventually("the provider's offers are back", || async {
        let book = market.get("/v1/markets/local/wasm/book").await;
        (book.status == 200 && book.json()["offers"][0]["free_mb"] == 2048).then_some(())
    })
    .await;
    assert_eq!(market.get("/v1/accounts/dev").await.json(), spent);
    // The broker's stream comes back by itself, within a second.
    eventually("calls are served", || async { (market.invoke("echo", "hello").await.status == 200).then_some(()) })
        .await;
    check_served_by(&market, "edge-1").await;
}

async fn health_and_reflection_describe_the_services(shape: Shape) {
    let market = Market::start(shape).await;
    let channel = tonic::transport::Channel::from_shared(market.grpc.clone()).unwrap().connect().await.unwrap();
    for service in ["", "merit.v1.Brokerage"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let status = HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "`{service}`");
    }

    let ask = async |question: MessageRequest| {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let mut reflection = ServerReflectionClient::new(channel.clone());
        let answers = reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap();
        answers.into_inner().next().await.unwrap().unwrap().message_response.unwrap()
    };
    let MessageResponse::ListServicesResponse(listed) = ask(MessageRequest::ListServices(String::new())).await else {
        panic!("not a list of services");
    };
    let names: Vec<&str> = listed.service.iter().map(|service| service.name.as_str()).collect();
    for service in ["Brokerage", "MarketData", "Modules", "Operator", "ProviderGateway", "Registry"] {
        let name = format!("merit.v1.{service}");
        assert!(names.contains(&name.as_str()), "{names:?}");
        let described = ask(MessageRequest::FileContainingSymbol(name.clone())).await;
        assert!(matches!(described, MessageResponse::FileDescriptorResponse(_)), "{name}: {described:?}");
    }
}

/// Checks that a demo provider whose name is taken sells no more, and that the market goes on.
#[tokio::test]
async fn a_demo_provider_that_is_fenced_takes_nothing_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let up = ["up", "--demo-traffic", "0", "--data-dir", &data, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
    let up = crate::process::Process::start(&up, &dir.path().join("up.log")).await;
    let market = Market::of(vec![up], dir);
    let _thief = market.provider("edge-fast", &["--per-gb-second", "0.000001", "--per-request", "0"]).await;
    let answer = market.invoke("echo", "hello").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "hello"));
    market.stop().await;
}
