//! A provider: its host, its invocation server and its session, from start to stop. One of a function server has only
//! the session.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use merit_proto::v1::Adapter;
use merit_proto::{Transport, v1};
use merit_wasm::{Host, HostError, HostSettings, Runtime};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};

use crate::code::Revisions;
use crate::invocations::Invocations;
use crate::server::Server;
use crate::session::{self, Credentials, Machine, RUNS_MAX, Ran, SessionError, Standing, Told};
use crate::settings::{ProviderSettings, SettingsError};

/// Why a provider did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot tell the address of the listener")]
    Listener(#[source] io::Error),
    #[error("the listener takes calls on every address; say with `endpoint` at which one brokers reach it")]
    NoEndpoint,
    #[error("a function server at no endpoint; say with `endpoint` where it is")]
    NoGateway,
    #[error("only an agent runs calls; what stands at another endpoint is sold without one")]
    NotAnAgent,
    #[error("cannot start the WebAssembly host")]
    Host(#[from] HostError),
    #[error(transparent)]
    Session(#[from] SessionEnd),
}

/// How a session ended other than by a stop.
#[derive(Debug, thiserror::Error)]
pub enum SessionEnd {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("the task of the session failed")]
    Task(#[from] JoinError),
}

/// Why a stop was not clean.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    #[error("calls still ran at the deadline, and were cut off")]
    CutOff,
    #[error(transparent)]
    Session(#[from] SessionEnd),
}

/// A provider that sells. Dropping it ends its session and cuts off its calls; [`Provider::stop`] is kinder.
pub struct Provider {
    endpoint: String,
    standing: watch::Receiver<Standing>,
    stop_session: watch::Sender<bool>,
    /// None once its end was told.
    session: Option<JoinHandle<Result<(), SessionError>>>,
    /// None where something else takes the calls.
    floor: Option<Floor>,
}

/// Where calls run.
struct Floor {
    invocations: Arc<Invocations>,
    server: Server,
}

impl Provider {
    /// Serves invocations on `listener` and logs on; ready when the exchange has welcomed it. Several providers of a
    /// process share one `runtime`. Refuses settings that cannot sell, and ends when the exchange refuses the logon;
    /// an exchange that cannot be reached is waited for.
    pub async fn start(
        settings: ProviderSettings,
        transport: Transport,
        listener: TcpListener,
        runtime: Arc<Runtime>,
    ) -> Result<Provider, StartError> {
        settings.check()?;
        if settings.adapter != Adapter::Agent {
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
        let (runs, ran) = mpsc::channel(RUNS_MAX);
        let invocations = Arc::new(Invocations::new(settings.name.clone(), trusted, host, revisions, runs));
        let server = Server::start(listener, Arc::clone(&invocations).router());

        let floor = Some(Floor { invocations, server });
        Provider::log_on(&settings, transport, endpoint, credentials, ran, floor).await
    }

    /// Sells what stands at the endpoint of the settings, which takes its calls itself: logs on, and is ready when the
    /// exchange has welcomed it. Runs nothing.
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
        ran: mpsc::Receiver<Ran>,
        floor: Option<Floor>,
    ) -> Result<Provider, StartError> {
        let mut trusted = credentials.subscribe();
        let (standing, standing_now) = watch::channel(Standing::default());
        let (stop_session, stop) = watch::channel(false);
        let machine = machine(settings, endpoint.clone());
        let told = Told { credentials, standing };
        let mut session = tokio::spawn(session::run(settings.name.to_string(), machine, transport, told, ran, stop));
        tokio::select! {
            // Fails only if the session has ended, which the other branch hears of.
            Ok(_) = trusted.wait_for(Option::is_some) => {}
            ended = &mut session => ended.map_err(SessionEnd::from)?.map_err(SessionEnd::from)?,
        }
        Ok(Provider { endpoint, standing: standing_now, stop_session, session: Some(session), floor })
    }

    /// Where brokers reach it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How it stands with the exchange, now and at every change.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Waits for the end of the session, which comes by itself only with an error, and tells it once. May be dropped
    /// and called again without a loss, so that it stands beside a signal to stop.
    pub async fn ended(&mut self) -> Result<(), SessionEnd> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let ended = session.await;
        self.session = None;
        Ok(ended??)
    }

    /// Ends the session, so that the offers are cancelled; then takes no more calls and lets those that run finish,
    /// at most `within`.
    pub async fn stop(mut self, within: Duration) -> Result<(), StopError> {
        self.stop_session.send_replace(true);
        let ended = self.ended().await;
        if let Some(Floor { invocations, server }) = self.floor.take() {
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
        adapter: settings.adapter.into(),
        quotas: settings.free.iter().map(Into::into).collect(),
        protection: settings.protection.map(Into::into),
        ..v1::Logon::default()
    };
    let rungs: Vec<v1::Rung> = settings.ladder().iter().map(Into::into).collect();
    let ladders = settings.markets.iter().map(|market| (market.clone(), rungs.clone())).collect();
    // Without chance all providers come back together, which is a burden and no fault.
    Machine::new(logon, ladders, settings.offers_expire_after, getrandom::u64().unwrap_or_default())
}

fn endpoint_at(address: SocketAddr) -> Result<String, StartError> {
    if address.ip().is_unspecified() {
        return Err(StartError::NoEndpoint);
    }
    Ok(format!("http://{address}"))
}
