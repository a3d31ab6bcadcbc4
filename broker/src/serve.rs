//! The broker as a server: its state, its routes, and its life from a bound listener to a drain.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State as Extract};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use merit_proto::Transport;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::PAYLOAD_MAX_BYTES;
use crate::addresses::Policy;
use crate::brokerage::Brokerage;
use crate::doors::{
    accounts, functions, invocations, leases, market_terms, markets, providers, statements, stream, tape,
};
use crate::error::ApiError;
use crate::exchange::Exchange;
use crate::guard::keyless_loopback;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::upstream::Upstream;

const MODULE_MAX_BYTES: usize = 32 << 20;

/// How a broker is started.
pub struct Settings {
    pub exchange: Transport,
    pub page: Page,
}

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0} is not a loopback address, and without keys only loopback is served; keys are not in this version")]
    KeysNeeded(SocketAddr),
    #[error("the metrics could not be registered")]
    Metrics(#[from] prometheus::Error),
    #[error("the listener has no address")]
    Listener(#[from] std::io::Error),
}

/// What every request may use.
pub(crate) struct State {
    pub(crate) exchange: Exchange,
    /// Leases and settlements.
    pub(crate) stream: Brokerage,
    pub(crate) upstream: Upstream,
    pub(crate) metrics: Metrics,
    pub(crate) page: Page,
    /// Invocations under way, with or without a caller that still waits.
    pub(crate) invocations: TaskTracker,
    pub(crate) stopping: CancellationToken,
}

/// A broker that is ready to serve on its listener.
pub struct Broker {
    listener: TcpListener,
    router: Router,
    invocations: TaskTracker,
    stopping: CancellationToken,
}

impl Broker {
    /// Refuses a listener that is not on loopback: there are no keys.
    pub fn new(listener: TcpListener, settings: Settings) -> Result<Broker, StartError> {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            return Err(StartError::KeysNeeded(address));
        }
        let (stopping, invocations) = (CancellationToken::new(), TaskTracker::new());
        let state = Arc::new(State {
            stream: Brokerage::start(settings.exchange.clone()),
            exchange: Exchange::new(settings.exchange),
            // Without keys only this machine is served.
            upstream: Upstream::new(Policy { allow_loopback: true, ..Policy::default() }),
            metrics: Metrics::new()?,
            page: settings.page,
            invocations: invocations.clone(),
            stopping: stopping.clone(),
        });
        Ok(Broker { listener, router: router(state), invocations, stopping })
    }

    /// Serves until `stop`, then finishes what runs, for at most `drain`.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static, drain: Duration) -> std::io::Result<()> {
        let (stopping, invocations) = (self.stopping, self.invocations);
        let stopped = stopping.clone();
        let server = axum::serve(self.listener, self.router).with_graceful_shutdown(async move {
            stop.await;
            stopped.cancel();
        });
        let finished = async {
            let served = server.into_future().await;
            // Callers may be gone whose calls still run; what was leased is settled.
            invocations.close();
            invocations.wait().await;
            served
        };
        tokio::select! {
            served = finished => served,
            () = async { stopping.cancelled().await; tokio::time::sleep(drain).await } => Ok(()),
        }
    }
}

fn router(state: Arc<State>) -> Router {
    let limited = DefaultBodyLimit::max(PAYLOAD_MAX_BYTES);
    let module = put(functions::put_module)
        .layer(DefaultBodyLimit::max(MODULE_MAX_BYTES))
        .layer(middleware::map_response(|answer| say_too_large(answer, "module", MODULE_MAX_BYTES)));
    Router::new()
        .route("/v1/functions", get(functions::list))
        .route("/v1/functions/{name}", get(functions::get).put(functions::put).delete(functions::delete))
        .route("/v1/functions/{name}/revisions", get(functions::revisions))
        .route("/v1/functions/{name}/aliases/{alias}", put(functions::put_alias))
        .route("/v1/functions/{name}/module", module)
        .route("/v1/functions/{name}/invocations", post(invocations::post))
        .route("/v1/functions/{name}/quote", post(invocations::quote))
        .route("/v1/invocations/{id}", get(invocations::get))
        .route("/v1/markets", get(markets::list))
        .route("/v1/markets/{region}/{class}", put(market_terms::put))
        .route("/v1/markets/{region}/{class}/book", get(markets::book))
        .route("/v1/markets/{region}/{class}/trades", get(tape::trades))
        .route("/v1/markets/{region}/{class}/candles", get(tape::candles))
        .route("/v1/stream", get(stream::get))
        .route("/v1/leases/{id}/close", post(leases::close))
        .route("/v1/providers", get(providers::list).post(providers::register))
        .route("/v1/providers/{name}/kill", post(providers::kill))
        .route("/v1/providers/{name}/revive", post(providers::revive))
        .route("/v1/providers/{name}/limits", put(providers::limits))
        .route("/v1/providers/{name}/labels", put(providers::labels))
        .route("/v1/accounts", get(accounts::list).post(accounts::open))
        .route("/v1/accounts/{id}", get(accounts::get))
        .route("/v1/accounts/{id}/statement", get(statements::get))
        .route("/v1/accounts/{id}/deposits", post(accounts::deposit))
        .route("/v1/accounts/{id}/payouts", post(accounts::payout))
        .route("/v1/accounts/{id}/corrections", post(accounts::correct))
        .route("/v1/accounts/{id}/freeze", post(accounts::freeze))
        .route("/v1/accounts/{id}/limits", put(accounts::limits))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/{*path}", any(no_route))
        .fallback(page)
        .method_not_allowed_fallback(|| async {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path has no such method")
        })
        .layer(limited)
        .layer(middleware::map_response(|answer| say_too_large(answer, "payload", PAYLOAD_MAX_BYTES)))
        .layer(middleware::from_fn(keyless_loopback))
        .with_state(state)
}

async fn no_route(request: Request) -> ApiError {
    ApiError::not_found(format!("there is nothing at {}", request.uri().path()))
}

/// The extractors' own refusal of a large body, in the shape of every other error.
async fn say_too_large(response: Response, what: &str, max_bytes: usize) -> Response {
    let json = response.headers().get(http::header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE if !json => ApiError::too_large(what, max_bytes).into_response(),
        _ => response,
    }
}

async fn ready(Extract(state): Extract<Arc<State>>) -> Result<&'static str, ApiError> {
    if state.stopping.is_cancelled() {
        return Err(ApiError::unavailable("draining"));
    }
    match state.exchange.is_ready().await {
        true => Ok("ready\n"),
        false => Err(ApiError::unavailable("the exchange does not answer")),
    }
}

async fn metrics(Extract(state): Extract<Arc<State>>) -> Response {
    match state.metrics.text() {
        Ok(text) => ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, Json("the metrics could not be written")).into_response()
        }
    }
}

async fn page(Extract(state): Extract<Arc<State>>, request: Request) -> Response {
    state.page.serve(request.uri().path()).await
}
