//! The broker as a server: its state, and its life from a bound listener to a drain.

#[cfg(test)]
pub(crate) mod tests;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use futures_util::future::BoxFuture;
use http::StatusCode;
use merit_proto::{ServerTls, Transport};
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use tower::retry::budget::TpsBudget;

use crate::caller::{Keys, Publics, Unproven, guard, logged};
use crate::doors::{Shape, lambda};
use crate::edge::access_log::AccessLog;
use crate::edge::connection;
use crate::error::ApiError;
use crate::exchange::clients::Exchange;
use crate::exchange::leases::Brokerage;
use crate::metrics::{Metrics, Now, measure};
use crate::page::Page;
use crate::provider::addresses::Policy;
use crate::provider::attempt::Upstream;
use crate::provider::payload;
use crate::quota::rates::Rates;
use crate::quota::shares::{Full, Holder, Share, Shares};
use crate::routes;

/// Invocations under way at once; more are turned away before they queue.
const INVOCATIONS_MAX: usize = 8_192;
/// Those of one account, where accounts are told apart.
const ACCOUNT_INVOCATIONS_MAX: usize = INVOCATIONS_MAX / 2;
/// Streams of the market at once: those of one account, or of one address without a key; and all.
const SUBSCRIPTIONS_MAX: usize = 64;
const ALL_SUBSCRIPTIONS_MAX: usize = 4_096;
/// What a subscriber too many is told to wait.
const SUBSCRIBE_AGAIN: Duration = Duration::from_secs(10);
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
    /// Whose certificates providers may have, beside those of the roots that the machine trusts.
    pub provider_authorities: Vec<CertificateDer<'static>>,
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
    #[error("TLS to providers cannot be set up; see --provider-ca")]
    Tls(#[from] rustls::Error),
    #[error("the description of the doors could not be written")]
    Description(#[from] serde_json::Error),
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
    pub(crate) publics: Publics,
    pub(crate) unproven: Unproven,
    /// What may be tried again.
    pub(crate) retries: TpsBudget,
    pub(crate) lambda_retries: lambda::Retries,
    /// Of bodies that are held.
    pub(crate) buffers: Shares<Holder>,
    /// The same of visitors of public functions.
    pub(crate) visitors_buffers: Shares<Holder>,
    subscriptions: Shares<Holder>,
    room: Arc<Semaphore>,
    by_account: Shares<Arc<str>>,
    /// Invocations under way, with or without a caller that still waits.
    pub(crate) invocations: TaskTracker,
    pub(crate) stopping: CancellationToken,
}

/// Room for one invocation, until it is dropped.
pub(crate) struct Admitted {
    _permit: OwnedSemaphorePermit,
    _of_account: Option<Share<Arc<str>>>,
}

impl State {
    /// Room for one more invocation of the account.
    pub(crate) fn admit(&self, account: &Arc<str>) -> Result<Admitted, ApiError> {
        if self.stopping.is_cancelled() {
            return Err(ApiError::unavailable("this broker is draining; another serves"));
        }
        let overloaded = |_| {
            self.metrics.shed();
            ApiError::overloaded("too many invocations are under way here; try again shortly")
        };
        let _permit = self.room.clone().try_acquire_owned().map_err(overloaded)?;
        let share = || self.by_account.take(account.clone(), 1);
        // Without keys all callers are one account.
        let _of_account = (!self.is_keyless).then(share).transpose().map_err(|_| {
            self.metrics.shed();
            let message = "too many invocations of this account are under way here; try again shortly";
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_calls", message)
        })?;
        Ok(Admitted { _permit, _of_account })
    }

    /// Room for one more stream of the market.
    pub(crate) fn subscribe(&self, who: Holder) -> Result<Share<Holder>, ApiError> {
        self.subscriptions.take(who, 1).map_err(|full| match full {
            Full::Each => {
                let message =
                    format!("an account, or an address without a key, has at most {SUBSCRIPTIONS_MAX} streams");
                ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", message).retry_after(SUBSCRIBE_AGAIN)
            }
            Full::All => ApiError::overloaded("too many stream the market here").retry_after(SUBSCRIBE_AGAIN),
        })
    }

    /// What the metrics do not count.
    pub(crate) fn now(&self) -> Now {
        let in_flight = INVOCATIONS_MAX.saturating_sub(self.room.available_permits());
        Now { in_flight, is_connected: self.stream.is_connected() }
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
            publics: Publics::new(settings.exchange.clone()),
            unproven: Unproven::default(),
            exchange: Exchange::new(settings.exchange),
            upstream: Upstream::new(settings.addresses, settings.provider_authorities)?,
            metrics: Metrics::new()?,
            page: settings.page,
            retries: TpsBudget::new(RETRY_MEMORY, RETRIES_A_SECOND, RETRY_RATIO),
            lambda_retries: lambda::Retries::default(),
            buffers: payload::buffers(),
            visitors_buffers: payload::visitors_buffers(),
            subscriptions: Shares::new(SUBSCRIPTIONS_MAX, ALL_SUBSCRIPTIONS_MAX),
            room: Arc::new(Semaphore::new(INVOCATIONS_MAX)),
            by_account: Shares::new(ACCOUNT_INVOCATIONS_MAX, usize::MAX),
            invocations: invocations.clone(),
            stopping: stopping.clone(),
        });
        let front = Front { doors: routes::router(state.clone())?, state };
        Ok(Broker { listener, tls: settings.tls.map(Arc::new), front, invocations, stopping })
    }

    /// Serves until `stop`, then finishes what runs, for at most `drain`.
    pub fn serve(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
        drain: Duration,
    ) -> BoxFuture<'static, std::io::Result<()>> {
        self.serve_until(Box::pin(stop), drain)
    }

    /// Boxed and not generic, so that what serves is compiled here, once and optimised, and not in each caller's crate.
    fn serve_until(self, stop: BoxFuture<'static, ()>, drain: Duration) -> BoxFuture<'static, std::io::Result<()>> {
        Box::pin(self.served(stop, drain))
    }

    async fn served(self, stop: BoxFuture<'static, ()>, drain: Duration) -> std::io::Result<()> {
        let (stopping, invocations) = (self.stopping, self.invocations);
        let stopped = stopping.clone();
        let stop = async move {
            stop.await;
            stopped.cancel();
        };
        let finished = async {
            connection::serve(self.listener, self.tls, self.front, stop).await;
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

/// What answers requests: the measuring, the guard, then the door at their path. They stand before the router and not in
/// layers of it, which every request would pay for with copies of the whole stack of each layer inside.
#[derive(Clone)]
pub(crate) struct Front {
    state: Arc<State>,
    doors: Router,
}

impl Front {
    pub(crate) async fn answer(self, request: Request) -> Response {
        let Front { state, mut doors } = self;
        let guarded = async |request| {
            guard(&state, request, async move |request| {
                let Ok(answer) = doors.call(request).await;
                answer
            })
            .await
        };
        measure(&state.metrics, request, guarded).await
    }

    /// Refuses what must not reach a door, or be asked who it is.
    pub(crate) async fn refuse(self, request: Request, error: ApiError) -> Response {
        let shape = Shape::of(request.uri().path());
        let refused = async |request| logged(&self.state, request, async |_| (None, shape.respond(error))).await;
        measure(&self.state.metrics, request, refused).await
    }
}
