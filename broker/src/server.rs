//! The server: a broker from its settings and a bound listener to a drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use merit_listener::{Limits, ServerTls};
use merit_proto::Transport;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::caller::authenticate::Authentication;
use crate::caller::keys::Keys;
use crate::caller::public::Publics;
use crate::edge::access_log::AccessLog;
use crate::edge::front::Front;
use crate::exchange::clients::Exchange;
use crate::exchange::leases::Leases;
use crate::invocation::Invocations;
use crate::invocation::repeats::Repeats;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::provider::addresses::Policy;
use crate::provider::attempt::Providers;
use crate::quota::admission::Admission;
use crate::quota::bodies;
use crate::quota::rates::Rates;
use crate::routes;

/// The part of the open files that the doors' connections may use: a third. As many may be open to providers.
const CONNECTION_PARTS: usize = 3;

/// The settings of a broker.
pub struct Settings {
    pub exchange: Transport,
    pub page: Page,
    pub access: Access,
    pub tls: Option<ServerTls>,
    /// Policy on the addresses of providers.
    pub addresses: Policy,
    /// Authorities for certificates of providers, beside the roots that the machine trusts.
    pub provider_authorities: Vec<CertificateDer<'static>>,
    /// Share of requests that are logged, from 0 to 1. Failures on this side are logged always, unless it is 0.
    pub access_log: f64,
}

/// The callers that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// On loopback alone: a call without credentials is the account `dev` with all roles.
    KeylessLoopback,
    /// Only callers with a key.
    Keys,
}

/// The reason for which a broker does not start.
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

/// A broker that is ready to serve on its listener.
pub struct Server {
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    front: Front,
    invocations: Arc<Invocations>,
    stopping: CancellationToken,
}

impl Server {
    /// Makes the broker. Refuses to serve without keys on a listener that is not on loopback.
    pub fn new(listener: TcpListener, settings: Settings) -> Result<Server, StartError> {
        let address = listener.local_addr()?;
        let is_keyless = settings.access == Access::KeylessLoopback;
        if is_keyless && !address.ip().is_loopback() {
            return Err(StartError::KeysNeeded(address));
        }
        let stopping = CancellationToken::new();
        let exchange = Exchange::new(settings.exchange.clone());
        let keys = Keys::new(exchange.clone());
        // Ends with the broker.
        tokio::spawn(stopping.clone().run_until_cancelled_owned(keys.clone().watch()));
        let metrics = Arc::new(Metrics::new()?);
        let admission = Arc::new(Admission::new(is_keyless, metrics.clone(), stopping.clone()));
        let leases = Leases::start(settings.exchange);
        let providers = Providers::new(settings.addresses, settings.provider_authorities)?;
        let invocations =
            Arc::new(Invocations::new(exchange.clone(), leases, providers, metrics.clone(), admission.clone()));
        let broker = Arc::new(Broker {
            invocations: invocations.clone(),
            authentication: Authentication::new(keys, is_keyless),
            admission,
            rates: Rates::new(exchange.clone()),
            publics: Publics::new(exchange.clone()),
            exchange,
            repeats: Repeats::default(),
            bodies: bodies::of_callers(),
            visitors_bodies: bodies::of_visitors(),
            metrics,
            page: settings.page,
            stopping: stopping.clone(),
        });
        let front = Front::new(broker.clone(), AccessLog::new(settings.access_log), routes::router(broker)?);
        Ok(Server { listener, tls: settings.tls.map(Arc::new), front, invocations, stopping })
    }

    /// Serves until `stop`, then drains for at most `drain`.
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
            let limits = Limits::of_one_in(CONNECTION_PARTS);
            limits.log(&self.listener);
            merit_listener::serve(self.listener, self.tls, limits, self.front, stop).await;
            invocations.finish().await;
        };
        tokio::select! {
            () = finished => {}
            () = async { stopping.cancelled().await; tokio::time::sleep(drain).await } => {}
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "../tests/unit/server.rs"]
pub(crate) mod tests;
