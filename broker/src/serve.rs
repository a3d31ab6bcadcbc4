//! The broker as a server: its state, its routes, and its life from a bound listener to a drain.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State as Extract};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post, put};
use axum::{Json, Router, middleware};
use http::StatusCode;
use merit_proto::{ServerTls, Transport};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use tower::retry::budget::TpsBudget;

use crate::access_log::AccessLog;
use crate::addresses::Policy;
use crate::auth::{Keys, Operator, Rates, Unproven, guard};
use crate::brokerage::Brokerage;
use crate::doors::{
    Shape, accounts, functions, invocations, keys, lambda, leases, market_terms, markets, native, openfaas, providers,
    statements, stream, tape,
};
use crate::error::ApiError;
use crate::exchange::Exchange;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::upstream::Upstream;
use crate::{PAYLOAD_MAX_BYTES, connections};

const MODULE_MAX_BYTES: usize = 32 << 20;

/// Invocations under way at once; more are turned away before they queue.
const INVOCATIONS_MAX: usize = 8_192;
/// Calls tried again in proportion to calls, and in each second whatever the calls: so that failures at most double the load.
const RETRY_RATIO: f32 = 1.0;
const RETRIES_A_SECOND: u32 = 100;
const RETRY_MEMORY: Duration = Duration::from_secs(10);

/// How a broker is started.
pub struct Settings {
    pub exchange: Transport,
    pub page: Page,
    pub access: Access,
    pub tls: Option<ServerTls>,
    /// Where calls may go.
    pub addresses: Policy,
    /// The share of requests that are logged, from 0 to 1; failures on this side always, unless it is 0.
    pub access_log: f64,
}

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// On loopback alone: a call without credentials is the account `dev` with all roles.
    KeylessLoopback,
    /// Only with a key.
    Keys,
}

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0} is not a loopback address, and without keys only loopback is served")]
    KeysNeeded(SocketAddr),
    #[error("the metrics could not be registered")]
    Metrics(#[from] prometheus::Error),
    #[error("the certificates that this machine trusts cannot be read")]
    Roots(#[source] std::io::Error),
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
    pub(crate) is_keyless: bool,
    pub(crate) access_log: AccessLog,
    pub(crate) keys: Keys,
    pub(crate) rates: Rates,
    pub(crate) unproven: Unproven,
    /// What may be tried again.
    pub(crate) retries: TpsBudget,
    pub(crate) lambda_retries: lambda::Retries,
    room: Arc<Semaphore>,
    /// Invocations under way, with or without a caller that still waits.
    pub(crate) invocations: TaskTracker,
    pub(crate) stopping: CancellationToken,
}

impl State {
    /// Room for one more invocation, until it is dropped.
    pub(crate) fn admit(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        if self.stopping.is_cancelled() {
            return Err(ApiError::unavailable("this broker is draining; another serves"));
        }
        let overloaded = |_| {
            self.metrics.shed();
            let message = format!("{INVOCATIONS_MAX} invocations are under way here; try again shortly");
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
        };
        self.room.clone().try_acquire_owned().map_err(overloaded)
    }
}

/// A broker that is ready to serve on its listener.
pub struct Broker {
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    front: Front,
    invocations: TaskTracker,
    stopping: CancellationToken,
}

impl Broker {
    /// Refuses to serve without keys on a listener that is not on loopback.
    pub fn new(listener: TcpListener, settings: Settings) -> Result<Broker, StartError> {
        let address = listener.local_addr()?;
        let is_keyless = settings.access == Access::KeylessLoopback;
        if is_keyless && !address.ip().is_loopback() {
            return Err(StartError::KeysNeeded(address));
        }
        let (stopping, invocations) = (CancellationToken::new(), TaskTracker::new());
        let keys = Keys::new(settings.exchange.clone());
        // Ends with the broker.
        tokio::spawn(stopping.clone().run_until_cancelled_owned(keys.clone().watch()));
        let state = Arc::new(State {
            stream: Brokerage::start(settings.exchange.clone()),
            is_keyless,
            access_log: AccessLog::new(settings.access_log),
            keys,
            rates: Rates::new(settings.exchange.clone()),
            unproven: Unproven::default(),
            exchange: Exchange::new(settings.exchange),
            upstream: Upstream::new(settings.addresses).map_err(StartError::Roots)?,
            metrics: Metrics::new()?,
            page: settings.page,
            retries: TpsBudget::new(RETRY_MEMORY, RETRIES_A_SECOND, RETRY_RATIO),
            lambda_retries: lambda::Retries::default(),
            room: Arc::new(Semaphore::new(INVOCATIONS_MAX)),
            invocations: invocations.clone(),
            stopping: stopping.clone(),
        });
        let front = Front { doors: router(state.clone()), state };
        Ok(Broker { listener, tls: settings.tls.map(Arc::new), front, invocations, stopping })
    }

    /// Serves until `stop`, then finishes what runs, for at most `drain`.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static, drain: Duration) -> std::io::Result<()> {
        let (stopping, invocations) = (self.stopping, self.invocations);
        let stopped = stopping.clone();
        let stop = async move {
            stop.await;
            stopped.cancel();
        };
        let finished = async {
            connections::serve(self.listener, self.tls, self.front, stop).await;
            // Callers may be gone whose calls still run; what was leased is settled.
            invocations.close();
            invocations.wait().await;
        };
        tokio::select! {
            () = finished => {}
            () = async { stopping.cancelled().await; tokio::time::sleep(drain).await } => {}
        }
        Ok(())
    }
}

/// What answers requests: the guard, then the door at their path. The guard stands before the router and not in a layer
/// of it, which every request would pay for with copies of the whole stack of each layer inside.
#[derive(Clone)]
pub(crate) struct Front {
    state: Arc<State>,
    doors: Router,
}

impl Front {
    pub(crate) async fn answer(self, request: Request) -> Response {
        let Front { state, mut doors } = self;
        guard(&state, request, async move |request| {
            let Ok(answer) = doors.call(request).await;
            say_too_large(answer, "payload", PAYLOAD_MAX_BYTES).await
        })
        .await
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
        .route("/v1/functions/{name}/invocations", post(native::invoke))
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
        .route("/fn/{name}", any(native::pass_through))
        .route("/fn/{name}/", any(native::pass_through))
        .route("/fn/{name}/{*path}", any(native::pass_through))
        .route("/2015-03-31/functions/{name}/invocations", post(lambda::post))
        .route("/2021-11-15/functions/{name}/response-streaming-invocations", post(lambda::post_streaming))
        .route("/2015-03-31/functions", get(lambda::list))
        .route("/2015-03-31/functions/", get(lambda::list))
        .route("/2015-03-31/functions/{name}", get(lambda::get))
        .route("/2015-03-31/functions/{name}/configuration", get(lambda::configuration))
        .route("/function/{name}", any(openfaas::invoke))
        .route("/function/{name}/", any(openfaas::invoke))
        .route("/function/{name}/{*path}", any(openfaas::invoke))
        .route("/async-function/{name}", post(openfaas::invoke_async))
        .route("/async-function/{name}/{*path}", post(openfaas::invoke_async))
        .route("/system/functions", get(openfaas::list))
        .route("/system/function/{name}", get(openfaas::get))
        .route("/system/info", get(openfaas::info))
        .route("/v1/keys", get(keys::list).post(keys::create))
        .route("/v1/keys/{id}", delete(keys::revoke))
        .route("/v1/keys/{id}/rotate", post(keys::rotate))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/{*path}", any(no_route))
        .route("/2015-03-31/{*path}", any(no_route))
        .route("/2021-11-15/{*path}", any(no_route))
        .fallback(page)
        .method_not_allowed_fallback(|| async {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path has no such method")
        })
        .layer(limited)
        .with_state(state)
}

async fn no_route(request: Request) -> Response {
    let path = request.uri().path();
    Shape::of(path).respond(ApiError::not_found(format!("there is nothing at {path}")))
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

/// For the operator: it tells what every market and provider earns.
async fn metrics(_: Operator, Extract(state): Extract<Arc<State>>) -> Response {
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
