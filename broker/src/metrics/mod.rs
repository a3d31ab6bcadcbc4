//! Prometheus metrics of the broker: rate, errors, duration and money, by door, market and provider.
//!
//! What every call counts is found by one lookup or none: the children of label sets are kept. Nothing here is used in
//! accounting: the exchange's accounts and statements are the books, exact to the picodollar.

mod http;
mod process;
mod sellers;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use merit_proto::v1::Grant;
use prometheus::core::Collector;
use prometheus::{
    Counter, CounterVec, Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::invocation::dispatch::{End, Finished};

use http::Http;
pub(crate) use http::measure;
use process::Process;
use sellers::Sellers;

/// By which door a call came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Native,
    PassThrough,
    CloudEvents,
    Lambda,
    OpenFaas,
}

impl Door {
    const ALL: [Door; 5] = [Door::Native, Door::PassThrough, Door::CloudEvents, Door::Lambda, Door::OpenFaas];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Door::Native => "native",
            Door::PassThrough => "fn",
            Door::CloudEvents => "cloudevents",
            Door::Lambda => "lambda",
            Door::OpenFaas => "openfaas",
        }
    }
}

/// The metrics; one set a broker.
pub(crate) struct Metrics {
    registry: Registry,
    http: Http,
    sellers: Sellers,
    overhead: [Histogram; Door::ALL.len()],
    attempts_failed: IntCounterVec,
    refusals: IntCounterVec,
    retries: IntCounter,
    retries_denied: IntCounter,
    shed: IntCounter,
    in_flight: IntGauge,
    connected: IntGauge,
    /// One reading at a time, so that what is read from outside is counted once.
    process: Mutex<Process>,
}

/// What is only looked at when Prometheus asks.
pub(crate) struct Now {
    pub(crate) in_flight: usize,
    pub(crate) is_connected: bool,
}

impl Metrics {
    pub(crate) fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let made = Made(&registry);
        let overhead = made.histograms(
            "merit_overhead_seconds",
            "What Merit added to the providers' time.",
            prometheus::exponential_buckets(0.00002, 2.0, 14)?,
            &["door"],
        )?;
        let build = made.gauges("merit_build_info", "1; the version of this broker.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Metrics {
            http: Http::new(&made)?,
            sellers: Sellers::new(&made)?,
            overhead: Door::ALL.map(|door| overhead.with_label_values(&[door.as_str()])),
            attempts_failed: made.counters(
                "merit_attempts_failed_total",
                "Attempts that a provider did not answer.",
                &["provider", "execution"],
            )?,
            refusals: made.counters(
                "merit_refusals_total",
                "Invocations that ended before anything was sent, by the code of the refusal.",
                &["code"],
            )?,
            retries: made.counter("merit_retries_total", "Attempts beyond the first of an invocation.")?,
            retries_denied: made.counter(
                "merit_retries_denied_total",
                "Further attempts that were not made because the retry budget was spent.",
            )?,
            shed: made.counter("merit_shed_total", "Invocations turned away because too many were under way.")?,
            in_flight: made.gauge("merit_invocations_in_flight", "Invocations under way.")?,
            connected: made.gauge("merit_exchange_connected", "1 while the stream with the exchange stands.")?,
            process: Mutex::new(Process::new(&made)?),
            registry,
        })
    }

    pub(crate) fn attempted(&self, grant: &Grant, further: bool) {
        self.sellers.of(&grant.market, &grant.provider).attempts.inc();
        if further {
            self.retries.inc();
        }
    }

    pub(crate) fn finished(&self, door: Door, finished: &Finished, took: Duration, overhead: Duration) {
        let (market, provider) =
            finished.grant.as_ref().map_or(("", ""), |grant| (grant.market.as_str(), grant.provider.as_str()));
        let seller = self.sellers.of(market, provider);
        let calls = seller.calls(door);
        match &finished.end {
            End::Executed { outcome, cost, .. } => {
                calls.executed(*outcome).inc();
                calls.duration.observe(took.as_secs_f64());
                self.overhead[door as usize].observe(overhead.as_secs_f64());
                seller.settled(*cost);
            }
            End::Refused { code, .. } => {
                calls.refused.inc();
                self.refusals.with_label_values(&[code]).inc();
            }
            End::Failed { .. } => calls.failed.inc(),
        }
    }

    /// An invocation for which the exchange did not answer.
    pub(crate) fn unanswered(&self, door: Door) {
        self.sellers.of("", "").calls(door).refused.inc();
        self.refusals.with_label_values(&["unavailable"]).inc();
    }

    pub(crate) fn attempt_failed(&self, provider: &str, execution: &str) {
        self.attempts_failed.with_label_values(&[provider, execution]).inc();
    }

    pub(crate) fn retry_denied(&self) {
        self.retries_denied.inc();
    }

    pub(crate) fn shed(&self) {
        self.shed.inc();
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self, now: &Now) -> Result<Vec<u8>, prometheus::Error> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.read();
        self.in_flight.set(i64::try_from(now.in_flight).unwrap_or(i64::MAX));
        self.connected.set(i64::from(now.is_connected));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// Metrics that are made and known to the registry at once.
struct Made<'a>(&'a Registry);

impl Made<'_> {
    fn known<M: Collector + Clone + 'static>(&self, metric: M) -> Result<M, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.known(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.known(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// Of what is no whole number, such as money and seconds.
    fn sum(&self, name: &str, help: &str) -> Result<Counter, prometheus::Error> {
        self.known(Counter::new(name, help)?)
    }

    fn sums(&self, name: &str, help: &str, labels: &[&str]) -> Result<CounterVec, prometheus::Error> {
        self.known(CounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.known(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.known(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: Vec<f64>,
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        self.known(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels)?)
    }
}

/// From half a millisecond to two minutes.
fn call_seconds() -> Result<Vec<f64>, prometheus::Error> {
    prometheus::exponential_buckets(0.0005, 2.0, 18)
}
