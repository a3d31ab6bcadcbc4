//! A provider: its host, its invocation server and its session, from start to stop. A function server's provider has
//! only the session. Never runs a call itself.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use merit_proto::{Transport, v1};
use merit_wasm::{Host, HostError, HostSettings, Runtime};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};

use crate::invocations::Invocations;
use crate::revisions::Revisions;
use crate::server::InvocationServer;
use crate::session::{self, Credentials, Machine, RUN_EVENTS_MAX, RunEvent, SessionError, Standing, Watches};
use crate::settings::{ProviderSettings, SettingsError};

/// A provider that did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("the address of the listener cannot be read")]
    Listener(#[source] io::Error),
    #[error("the listener takes calls on every address; name with `endpoint` the one for brokers")]
    NoEndpoint,
    #[error("the function server has no endpoint; name its URL with `endpoint`")]
    NoGateway,
    #[error("only the adapter `agent` runs calls here; a function server takes its own")]
    NotAnAgent,
    #[error("cannot start the WebAssembly host")]
    Host(#[from] HostError),
    #[error(transparent)]
    Session(#[from] SessionEnd),
}

/// An end of a session other than by a stop.
#[derive(Debug, thiserror::Error)]
pub enum SessionEnd {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("the task of the session failed")]
    Task(#[from] JoinError),
}

/// A stop that was not clean.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    #[error("calls still ran at the deadline, and were cut off")]
    CutOff,
    #[error(transparent)]
    Session(#[from] SessionEnd),
}

/// A running provider. Dropping it ends its session and cuts off its calls; [`Provider::stop`] drains them.
pub struct Provider {
    endpoint: String,
    standing: watch::Receiver<Standing>,
    stop_session: watch::Sender<bool>,
    /// `None` after its end was returned.
    session: Option<JoinHandle<Result<(), SessionError>>>,
    /// `None` if a function server takes the calls.
    call_server: Option<CallServer>,
}

/// The invocation server, and the calls that run there.
struct CallServer {
    invocations: Arc<Invocations>,
    server: InvocationServer,
}

impl Provider {
    /// Serves invocations on `listener` and logs on. Returns when the exchange has welcomed it. Several providers of a
    /// process share one `runtime`. Refuses settings that cannot sell, fails if the exchange refuses the logon, and
    /// waits for an exchange that cannot be reached.
    pub async fn start(
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
        let host_settings = HostSettings { threads: settings.pool.slots, cpu_share: settings.cpu_share };
        let host = Host::new(Arc::clone(&runtime), host_settings)?;

        let (credentials, trusted) = watch::channel(None);
        let revisions = Revisions::new(transport.clone(), runtime);
        let (runs, ran) = mpsc::channel(RUN_EVENTS_MAX);
        let invocations = Arc::new(Invocations::new(settings.name.clone(), trusted, host, revisions, runs));
        let server = InvocationServer::start(listener, Arc::clone(&invocations).router());

        let call_server = Some(CallServer { invocations, server });
        Provider::log_on(&settings, transport, endpoint, credentials, ran, call_server).await
    }

    /// Sells the function server at the endpoint of the settings, which takes its calls itself: logs on, and returns
    /// when the exchange has welcomed it. Runs nothing.
    pub async fn start_gateway(settings: ProviderSettings, transport: Transport) -> Result<Provider, StartError> {
        settings.check()?;
        let endpoint = settings.endpoint.clone().ok_or(StartError::NoGateway)?;
        let (credentials, _) = watch::channel(None);
        let (_, nothing_ran) = mpsc::channel(1);
        Provider::log_on(&settings, transport, endpoint, credentials, nothing_ran, None).await
    }

    async fn log_on(
        settings: &ProviderSettings,
        transport: Transport,
        endpoint: String,
        credentials: watch::Sender<Option<Credentials>>,
        ran: mpsc::Receiver<RunEvent>,
        call_server: Option<CallServer>,
    ) -> Result<Provider, StartError> {
        let mut trusted = credentials.subscribe();
        let (standing, standing_now) = watch::channel(Standing::default());
        let (stop_session, stop) = watch::channel(false);
        let machine = machine(settings, endpoint.clone());
        let told = Watches { credentials, standing };
        let mut session = tokio::spawn(session::run(settings.name.to_string(), machine, transport, told, ran, stop));
        tokio::select! {
            // Fails only after the session has ended, which the other branch reports.
            Ok(_) = trusted.wait_for(Option::is_some) => {}
            ended = &mut session => ended.map_err(SessionEnd::from)?.map_err(SessionEnd::from)?,
        }
        Ok(Provider { endpoint, standing: standing_now, stop_session, session: Some(session), call_server })
    }

    /// Returns the URL at which brokers reach it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns a watch of its standing with the exchange.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Waits for the end of the session, which comes by itself only with an error, and returns it once. Safe to cancel,
    /// so that it can run beside a signal to stop.
    pub async fn ended(&mut self) -> Result<(), SessionEnd> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let ended = session.await;
        self.session = None;
        Ok(ended??)
    }

    /// Ends the session, so that the offers are cancelled; then drains the running calls for at most `within`.
    pub async fn stop(mut self, within: Duration) -> Result<(), StopError> {
        self.stop_session.send_replace(true);
        let ended = self.ended().await;
        if let Some(CallServer { invocations, server }) = self.call_server.take() {
            invocations.drain();
            if !server.stop(within).await {
                return Err(StopError::CutOff);
            }
        }
        Ok(ended?)
    }
}

fn machine(settings: &ProviderSettings, endpoint: String) -> Machine {
    let logon = v1::Logon {
        provider: settings.name.to_string(),
        pools: vec![(&settings.pool).into()],
        endpoint,
        adapter: v1::Adapter::from(settings.adapter).into(),
        quotas: settings.free.iter().map(Into::into).collect(),
        protection: settings.protection.map(Into::into),
        ..v1::Logon::default()
    };
    let rungs: Vec<v1::Rung> = settings.ladder().iter().map(Into::into).collect();
    let ladders = settings.markets.iter().map(|market| (market.clone(), rungs.clone())).collect();
    // Without randomness all providers come back together, which is a burden and no fault.
    Machine::new(logon, ladders, settings.offers_expire_after, getrandom::u64().unwrap_or_default())
}

fn endpoint_at(address: SocketAddr) -> Result<String, StartError> {
    if address.ip().is_unspecified() {
        return Err(StartError::NoEndpoint);
    }
    Ok(format!("http://{address}"))
}
