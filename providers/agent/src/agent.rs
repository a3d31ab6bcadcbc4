//! The start of a provider that runs calls itself, on the WebAssembly host.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use merit_proto::Transport;
use merit_wasm::Runtime;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::call_server::CallServer;
use crate::provider::{Provider, StartError};
use crate::session::{MODULE_REPORTS_MAX, RUN_EVENTS_MAX};
use crate::settings::ProviderSettings;

impl Provider {
    /// Serves invocations on `listener` and logs on. Returns when the exchange has welcomed it. Several providers of a
    /// process share one `runtime`. Refuses settings that cannot sell, fails if the exchange refuses the logon, and
    /// waits for an exchange that cannot be reached.
    pub fn start(
        settings: ProviderSettings,
        transport: Transport,
        listener: TcpListener,
        runtime: Arc<Runtime>,
    ) -> BoxFuture<'static, Result<Provider, StartError>> {
        // Boxed, so that it is compiled here and not in each caller's crate.
        Box::pin(Provider::started(settings, transport, listener, runtime))
    }

    async fn started(
        settings: ProviderSettings,
        transport: Transport,
        listener: TcpListener,
        runtime: Arc<Runtime>,
    ) -> Result<Provider, StartError> {
        settings.check()?;
        if !settings.adapter.runs_modules() {
            return Err(StartError::NotAnAgent);
        }
        let endpoint = match &settings.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => endpoint_at(listener.local_addr().map_err(StartError::Listener)?)?,
        };
        let (trust, trusted) = watch::channel(None);
        let (runs, ran) = mpsc::channel(RUN_EVENTS_MAX);
        let (reports, reported) = mpsc::channel(MODULE_REPORTS_MAX);
        let started = CallServer::start(&settings, transport.clone(), listener, runtime, trusted, (runs, reports));
        let call_server = Some(started.map_err(|error| StartError::Host(error.into()))?);
        Provider::log_on(&settings, transport, endpoint, trust, (ran, reported), call_server).await
    }
}

fn endpoint_at(address: SocketAddr) -> Result<String, StartError> {
    if address.ip().is_unspecified() {
        return Err(StartError::NoEndpoint);
    }
    Ok(format!("http://{address}"))
}
