//! Connections to function servers that say for how long they keep one open.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::any;
use http::Method;
use merit_proto::v1;
use serde_json::json;
use tokio::net::TcpListener;

use crate::market::{Market, Shape};
use crate::raw_session::{RawSession, logon};
use crate::seller::rung;

/// Counts the connections over which calls come, to a server that says this in each answer: two calls at once after
/// each other, and one 2.2 s later.
async fn connections(keep_alive: &'static str) -> usize {
    let seen: Arc<Mutex<HashSet<SocketAddr>>> = Arc::default();
    let sees = seen.clone();
    let router = Router::new().fallback(any(async move |ConnectInfo(from): ConnectInfo<SocketAddr>| {
        sees.lock().unwrap().insert(from);
        ([("keep-alive", keep_alive)], "ok")
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    let market = Market::start(Shape::AllInOne).await;
    let logon = v1::Logon { endpoint, adapter: v1::Adapter::Http.into(), ..logon("server") };
    let mut session = RawSession::start(&market, logon).await;
    session.quote("local/wasm", vec![rung(1, 1024, 1_000_000)]).await;
    let deployments = json!([{"provider": "server", "target": "/kept"}]);
    let definition = json!({"providers": "any", "deployments": deployments}).to_string();
    market.call(Method::PUT, "/v1/functions/kept", &[], definition).await;
    for pause_ms in [0, 0, 2_200] {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        assert_eq!(market.invoke("kept", "").await.text(), "ok");
    }
    market.stop().await;
    seen.lock().unwrap().len()
}

#[tokio::test]
async fn a_connection_ends_before_its_server_closes_it() {
    let (short, longer, long) =
        tokio::join!(connections("timeout=1"), connections("timeout=3"), connections("timeout=30"));
    assert_eq!((short, longer, long), (3, 2, 1));
}
