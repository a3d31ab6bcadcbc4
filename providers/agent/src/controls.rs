//! The controls of what a running provider sells: pause, resume and price. One change at a time; never quotes itself.

use std::sync::Arc;
use std::time::Duration;

use merit_proto::v1;
use merit_terms::{MarketName, RefusalCode};
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot, watch};

use crate::session::{RefusedLadder, RequestedChange, SaleChange, Standing};
use crate::settings::{ProviderSettings, SettingsError};
use crate::strategy::Strategy;

/// Length of the queue of changes to a session.
const CHANGES_MAX: usize = 16;
/// Timeout of the exchange's answer to the quotes of a change.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A change that did not take effect in every market.
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

/// The controls of what a provider sells, while it runs. Clones control the same provider.
#[derive(Clone)]
pub struct Controls {
    settings: ProviderSettings,
    /// The present strategy. Locked for a whole change.
    strategy: Arc<Mutex<Strategy>>,
    changes: mpsc::Sender<RequestedChange>,
    standing: watch::Receiver<Standing>,
}

/// The controls of a provider, held by one change alone.
pub struct LockedControls<'a> {
    controls: &'a Controls,
    strategy: MutexGuard<'a, Strategy>,
}

impl Controls {
    /// Returns the controls, and the changes that the session is to make.
    pub(crate) fn of(
        settings: ProviderSettings,
        standing: watch::Receiver<Standing>,
    ) -> (Controls, mpsc::Receiver<RequestedChange>) {
        let (changes, requested) = mpsc::channel(CHANGES_MAX);
        let strategy = Arc::new(Mutex::new(settings.strategy));
        (Controls { settings, strategy, changes, standing }, requested)
    }

    /// Returns the settings that it started with.
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Returns true while it is paused.
    pub fn is_paused(&self) -> bool {
        self.standing.borrow().paused
    }

    /// Waits for the end of the change that is being made, if there is one. A change takes up to 5 s.
    pub async fn lock(&self) -> LockedControls<'_> {
        LockedControls { controls: self, strategy: self.strategy.lock().await }
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

    /// Waits as [`Controls::answered`] does. Ignores refusals by deleted markets if another market has accepted.
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

    /// Hands a change to the session. Returns when the session has made it.
    async fn request(&self, change: SaleChange) -> Result<(), ControlError> {
        let (taken, done) = oneshot::channel();
        self.changes.send(RequestedChange { change, taken }).await.map_err(|_| ControlError::Over)?;
        done.await.map_err(|_| ControlError::Over)
    }
}

impl LockedControls<'_> {
    /// Cancels all offers, and quotes none until [`LockedControls::resume`]. Open leases are served.
    pub async fn pause(&mut self) -> Result<(), ControlError> {
        self.controls.request(SaleChange::Pause).await
    }

    /// Quotes again. Returns when the exchange has answered in every market; a refused ladder is an error.
    pub async fn resume(&mut self) -> Result<(), ControlError> {
        self.controls.request(SaleChange::Resume).await?;
        self.controls.answered_where_known().await
    }

    /// Sells by another strategy from now on, which `change` makes of the present one; a paused provider does so when
    /// it resumes. Returns the strategy. If a market refuses its offers, the present strategy and its offers stay. Not
    /// safe to cancel: the offers could stay without their strategy.
    pub async fn reprice<E>(&mut self, change: impl FnOnce(Strategy) -> Result<Strategy, E>) -> Result<Strategy, E>
    where
        E: From<ControlError>,
    {
        let strategy = change(*self.strategy)?;
        self.sell_by(strategy).await?;
        *self.strategy = strategy;
        Ok(strategy)
    }

    async fn sell_by(&self, strategy: Strategy) -> Result<(), ControlError> {
        let by = |strategy| ProviderSettings { strategy, ..self.controls.settings.clone() };
        let settings = by(strategy);
        settings.check()?;
        self.controls.request(SaleChange::Reprice(rungs(&settings))).await?;
        if self.controls.is_paused() {
            return Ok(());
        }
        let answered = self.controls.answered_where_known().await;
        if answered.is_err() {
            self.controls.request(SaleChange::Reprice(rungs(&by(*self.strategy)))).await?;
        }
        answered
    }
}

/// Returns the ladder of the settings as it is quoted.
pub(crate) fn rungs(settings: &ProviderSettings) -> Vec<v1::Rung> {
    settings.ladder().iter().map(Into::into).collect()
}

impl From<RefusedLadder> for ControlError {
    fn from(refused: RefusedLadder) -> ControlError {
        let RefusedLadder { market, code, message } = refused;
        ControlError::Refused { market, code, message }
    }
}
