//! A provider: its host, its invocation server and its session, from start to stop. A function server's provider has
//! only the session. Never runs a call itself.

use std::error::Error;
use std::io;
use std::time::Duration;

use futures_util::future::BoxFuture;
use merit_proto::{Transport, v1};
use merit_terms::TargetPattern;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};

use crate::call_server::CallServer;
use crate::controls::{Controls, rungs};
use crate::session::{self, Machine, RunEvent, SessionError, Standing, Trusted, WarmRequests, Watches};
use crate::settings::{ProviderSettings, SettingsError};

/// Timeout of the cancellation of the offers at a stop.
const PAUSE_WITHIN: Duration = Duration::from_secs(1);
/// Timeout of the last settlements at a stop: a broker settles within moments of an answer.
const SETTLED_WITHIN: Duration = Duration::from_secs(1);

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
    Host(#[source] Box<dyn Error + Send + Sync>),
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
    controls: Controls,
    /// `None` after its end was returned.
    session: Option<JoinHandle<Result<(), SessionError>>>,
    /// `None` if a function server takes the calls.
    call_server: Option<CallServer>,
}

impl Provider {
    /// Sells the function server at the endpoint of the settings, which takes its calls itself: logs on, and returns
    /// when the exchange has welcomed it. Runs nothing.
    pub fn start_gateway(
        settings: ProviderSettings,
        transport: Transport,
    ) -> BoxFuture<'static, Result<Provider, StartError>> {
        Box::pin(Provider::started_gateway(settings, transport))
    }

    async fn started_gateway(settings: ProviderSettings, transport: Transport) -> Result<Provider, StartError> {
        settings.check()?;
        let endpoint = settings.endpoint.clone().ok_or(StartError::NoGateway)?;
        let (trusted, _) = watch::channel(None);
        let (nothing_ran, nothing_loaded) = (mpsc::channel(1).1, mpsc::channel(1).1);
        Provider::log_on(&settings, transport, endpoint, trusted, (nothing_ran, nothing_loaded), None).await
    }

    /// Logs on, and returns when the exchange has welcomed it. `told_by_calls` is what `call_server` tells of
    /// its calls and modules.
    pub(crate) async fn log_on(
        settings: &ProviderSettings,
        transport: Transport,
        endpoint: String,
        trusted: watch::Sender<Option<Trusted>>,
        told_by_calls: (mpsc::Receiver<RunEvent>, mpsc::Receiver<v1::ModuleState>),
        call_server: Option<(CallServer, WarmRequests)>,
    ) -> Result<Provider, StartError> {
        let (call_server, warm_requests) = call_server.unzip();
        let mut welcomed = trusted.subscribe();
        let (standing, standing_now) = watch::channel(Standing::default());
        let (stop_session, stop) = watch::channel(false);
        let machine = machine(settings, endpoint.clone());
        let told = Watches { trusted, standing, warm_requests };
        let (controls, changes) = Controls::of(settings.clone(), standing_now.clone());
        let name = settings.name.to_string();
        let mut session = tokio::spawn(session::run(name, machine, transport, told, told_by_calls, changes, stop));
        tokio::select! {
            // Fails only after the session has ended, which the other branch reports.
            Ok(_) = welcomed.wait_for(Option::is_some) => {}
            ended = &mut session => ended.map_err(SessionEnd::from)?.map_err(SessionEnd::from)?,
        }
        let session = Some(session);
        Ok(Provider { endpoint, standing: standing_now, stop_session, controls, session, call_server })
    }

    /// Returns the URL at which brokers reach it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns a watch of its standing with the exchange.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Returns the controls of what it sells.
    pub fn controls(&self) -> Controls {
        self.controls.clone()
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

    /// Cancels the offers and drains the running calls for at most `within`; then ends the session, once it has heard
    /// of their settlements.
    pub async fn stop(mut self, within: Duration) -> Result<(), StopError> {
        let drained = match self.call_server.take() {
            Some(server) => self.drain(server, within).await,
            None => true,
        };
        self.stop_session.send_replace(true);
        let ended = self.ended().await;
        if !drained {
            return Err(StopError::CutOff);
        }
        Ok(ended?)
    }

    async fn drain(&mut self, server: CallServer, within: Duration) -> bool {
        let paused = async { self.controls.lock().await.pause().await };
        // Without a session no offer stands.
        drop(tokio::time::timeout(PAUSE_WITHIN, paused).await);
        let drained = server.stop(within).await;
        let is_paid =
            |standing: &Standing| standing.leased_mb == 0 && standing.unpaid == 0 || standing.session.is_none();
        drop(tokio::time::timeout(SETTLED_WITHIN, self.standing.wait_for(is_paid)).await);
        drained
    }
}

fn targets(patterns: &[TargetPattern]) -> v1::Targets {
    v1::Targets { patterns: patterns.iter().map(ToString::to_string).collect() }
}

fn machine(settings: &ProviderSettings, endpoint: String) -> Machine {
    let logon = v1::Logon {
        provider: settings.name.to_string(),
        pools: vec![(&settings.pool).into()],
        endpoint,
        adapter: v1::Adapter::from(settings.adapter).into(),
        quotas: settings.free.iter().map(Into::into).collect(),
        protection: settings.protection.map(Into::into),
        targets: settings.targets.as_deref().map(targets),
        ..v1::Logon::default()
    };
    let rungs = rungs(settings);
    let ladders = settings.markets.iter().map(|market| (market.clone(), rungs.clone())).collect();
    // Without randomness all providers come back together, which is a burden and no fault.
    Machine::new(logon, ladders, settings.offers_expire_after, getrandom::u64().unwrap_or_default())
}
