//! The minimum cost of Merit's own HTTP stack: axum and hyper's pooled client, which forward. Never does more.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::serve::ListenerExt;
use axum::{Router, serve};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

#[derive(Clone)]
struct Forwarder {
    connections: Client<HttpConnector, Body>,
    to: Authority,
}

/// Forwards every request at `listen` until the process ends.
pub async fn forward(listen: SocketAddr, to: SocketAddr) -> std::io::Result<()> {
    let to = to.to_string().parse().map_err(|_| std::io::ErrorKind::InvalidInput)?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let forwarder = Forwarder { connections: Client::builder(TokioExecutor::new()).build(connector), to };
    let listener = TcpListener::bind(listen).await?.tap_io(|stream| drop(stream.set_nodelay(true)));
    serve(listener, Router::new().fallback(pass_on).with_state(forwarder)).await
}

async fn pass_on(State(forwarder): State<Forwarder>, mut request: Request) -> Result<Response, StatusCode> {
    let mut place = std::mem::take(request.uri_mut()).into_parts();
    place.scheme = Some(Scheme::HTTP);
    place.authority = Some(forwarder.to);
    place.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(place).map_err(|_| StatusCode::BAD_REQUEST)?;
    let answered = forwarder.connections.request(request).await;
    Ok(answered.map_err(|_| StatusCode::BAD_GATEWAY)?.map(Body::new))
}
