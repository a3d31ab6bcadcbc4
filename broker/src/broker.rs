//! The broker: the parts that doors use. Decides nothing itself.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::caller::authenticate::Authentication;
use crate::caller::public::Publics;
use crate::exchange::clients::Exchange;
use crate::invocation::Invocations;
use crate::invocation::repeats::Repeats;
use crate::metrics::{Gauges, Metrics};
use crate::page::Page;
use crate::quota::admission::Admission;
use crate::quota::rates::Rates;
use merit_listener::{Holder, Shares};

/// Timeout of the markets' prices in a scrape, which goes on without them.
const MARKETS_WITHIN: Duration = Duration::from_secs(1);

pub(crate) struct Broker {
    pub(crate) exchange: Exchange,
    pub(crate) invocations: Arc<Invocations>,
    pub(crate) authentication: Authentication,
    pub(crate) admission: Arc<Admission>,
    pub(crate) rates: Rates,
    pub(crate) publics: Publics,
    pub(crate) repeats: Repeats,
    /// Quota on the bodies of callers in memory.
    pub(crate) bodies: Shares<Holder>,
    /// Quota on the bodies of visitors of public functions in memory.
    pub(crate) visitors_bodies: Shares<Holder>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) page: Page,
    /// Cancelled once the broker drains.
    pub(crate) stopping: CancellationToken,
}

impl Broker {
    /// Returns the gauges that are read only when Prometheus asks.
    pub(crate) async fn gauges(&self) -> Gauges {
        let markets = tokio::time::timeout(MARKETS_WITHIN, self.exchange.markets()).await;
        let markets = markets.ok().and_then(Result::ok).unwrap_or_default();
        let clock = tokio::time::timeout(MARKETS_WITHIN, self.exchange.clock()).await.ok().and_then(Result::ok);
        let disk = tokio::time::timeout(MARKETS_WITHIN, self.exchange.disk()).await.ok().and_then(Result::ok);
        let (in_flight, is_connected) = (self.admission.in_flight(), self.invocations.is_connected());
        Gauges { in_flight, is_connected, markets, clock, disk }
    }
}
