//! A provider: its host, its invocation server and its session, from start to stop. A function server's provider has
//! only the session. Never runs a call itself.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use merit_proto::{Transport, v1};
use merit_terms::{MarketName, RefusalCode};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle};

use crate::call_server::CallServer;
use crate::session::{
    self, Credentials, Machine, Order, Ordered, RefusedLadder, RunEvent, SessionError, Standing, Watches,
};
use crate::settings::{ProviderSettings, SettingsError};
use crate::strategy::Strategy;

/// Length of the queue of orders to a session.
const ORDERS_MAX: usize = 16;
/// Timeout of the exchange's answer to the quotes of an order.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

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

/// An order that did not take effect in every market.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("the provider's session has ended")]
    Over,
    #[error("the exchange did not answer the quotes")]
    Unanswered,
    #[error("the offers in {market} were refused: {message} ({code})")]
    Refused { market: MarketName, code: String, message: String },
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
        let (credentials, _) = watch::channel(None);
        let (_, nothing_ran) = mpsc::channel(1);
        Provider::log_on(&settings, transport, endpoint, credentials, nothing_ran, None).await
    }

    /// Logs on, and returns when the exchange has welcomed it. `ran` are the calls that `call_server` tells of.
    pub(crate) async fn log_on(
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
        let (orders, ordered) = mpsc::channel(ORDERS_MAX);
        let controls = Controls {
            settings: settings.clone(),
            strategy: Arc::new(Mutex::new(settings.strategy)),
            orders,
            standing: standing_now.clone(),
        };
        let name = settings.name.to_string();
        let mut session = tokio::spawn(session::run(name, machine, transport, told, ran, ordered, stop));
        tokio::select! {
            // Fails only after the session has ended, which the other branch reports.
            Ok(_) = trusted.wait_for(Option::is_some) => {}
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

    /// Ends the session, so that the offers are cancelled; then drains the running calls for at most `within`.
    pub async fn stop(mut self, within: Duration) -> Result<(), StopError> {
        self.stop_session.send_replace(true);
        let ended = self.ended().await;
        if let Some(server) = self.call_server.take()
            && !server.stop(within).await
        {
            return Err(StopError::CutOff);
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
    let rungs = rungs(settings);
    let ladders = settings.markets.iter().map(|market| (market.clone(), rungs.clone())).collect();
    // Without randomness all providers come back together, which is a burden and no fault.
    Machine::new(logon, ladders, settings.offers_expire_after, getrandom::u64().unwrap_or_default())
}

fn rungs(settings: &ProviderSettings) -> Vec<v1::Rung> {
    settings.ladder().iter().map(Into::into).collect()
}

/// The controls of what a provider sells, while it runs. Clones control the same provider.
#[derive(Clone)]
pub struct Controls {
    settings: ProviderSettings,
    /// The present strategy. Locked for a whole order, so that orders do not mix.
    strategy: Arc<Mutex<Strategy>>,
    orders: mpsc::Sender<Ordered>,
    standing: watch::Receiver<Standing>,
}

impl Controls {
    /// Returns the settings that it started with.
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Cancels all offers, and quotes none until [`Controls::resume`]. Leases that stand are served.
    pub async fn pause(&self) -> Result<(), ControlError> {
        self.order(Order::Pause).await
    }

    /// Quotes again. Returns when the exchange has answered in every market; a refused ladder is an error.
    pub async fn resume(&self) -> Result<(), ControlError> {
        self.order(Order::Resume).await?;
        self.answered_where_known().await
    }

    /// Sells by another strategy from now on, which `change` makes of the present one; a paused provider does so when
    /// it resumes. Returns the strategy. If a market refuses its offers, the present strategy and its offers stay.
    pub async fn reprice<E>(&self, change: impl FnOnce(Strategy) -> Result<Strategy, E>) -> Result<Strategy, E>
    where
        E: From<ControlError>,
    {
        let mut present = self.strategy.lock().await;
        let strategy = change(*present)?;
        self.sell_by(strategy, *present).await?;
        *present = strategy;
        Ok(strategy)
    }

    async fn sell_by(&self, strategy: Strategy, before: Strategy) -> Result<(), ControlError> {
        let rungs_by = |strategy| rungs(&ProviderSettings { strategy, ..self.settings.clone() });
        ProviderSettings { strategy, ..self.settings.clone() }.check()?;
        self.order(Order::Sell(rungs_by(strategy))).await?;
        if self.is_paused() {
            return Ok(());
        }
        let answered = self.answered_where_known().await;
        if answered.is_err() {
            self.order(Order::Sell(rungs_by(before))).await?;
        }
        answered
    }

    /// Waits as [`Controls::answered`] does. A market that is there no longer holds up no other.
    async fn answered_where_known(&self) -> Result<(), ControlError> {
        match self.answered(ANSWER_WITHIN).await {
            Err(ControlError::Refused { code, .. })
                if code == RefusalCode::NotFound.as_str() && self.standing.borrow().markets > 0 =>
            {
                let standing = self.standing.borrow();
                let other = standing.refused.iter().find(|refused| refused.code != RefusalCode::NotFound.as_str());
                other.map_or(Ok(()), |refused| Err(refused.clone().into()))
            }
            answered => answered,
        }
    }

    /// Returns true while it sells nothing by its own order.
    pub fn is_paused(&self) -> bool {
        self.standing.borrow().paused
    }

    async fn order(&self, order: Order) -> Result<(), ControlError> {
        let (taken, done) = oneshot::channel();
        self.orders.send((order, taken)).await.map_err(|_| ControlError::Over)?;
        done.await.map_err(|_| ControlError::Over)
    }

    /// Waits until the exchange has answered the last quotes in every market; a refused ladder is an error.
    pub async fn answered(&self, within: Duration) -> Result<(), ControlError> {
        let (mut standing, markets) = (self.standing.clone(), self.settings.markets.len());
        let answered = standing.wait_for(|standing| standing.markets + standing.refused.len() >= markets);
        let standing = match tokio::time::timeout(within, answered).await {
            Ok(Ok(standing)) => standing.clone(),
            Ok(Err(_)) => return Err(ControlError::Over),
            Err(_) => return Err(ControlError::Unanswered),
        };
        match standing.refused.into_iter().next() {
            None => Ok(()),
            Some(refused) => Err(refused.into()),
        }
    }
}

impl From<RefusedLadder> for ControlError {
    fn from(refused: RefusedLadder) -> ControlError {
        let RefusedLadder { market, code, message } = refused;
        ControlError::Refused { market, code, message }
    }
}
