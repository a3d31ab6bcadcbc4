//! Prometheus metrics of the broker: rate, errors, duration and money, by door, market and provider.
//!
//! A call finds its counters by one lookup or none, because the children of label sets are cached. Nothing here is used
//! in accounting: the exchange's accounts and statements are the books, exact to the picodollar.

mod http;
mod markets;
mod process;
mod sellers;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use merit_terms::Outcome;
use prometheus::core::Collector;
use prometheus::{
    Counter, CounterVec, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::door_names::Door;
use crate::error::ErrorCode;
use crate::exchange::markets::Market;
use crate::exchange::operator::{ClockReport, DiskReport};

use http::HttpRequests;
pub(crate) use http::measure;
use markets::MarketGauges;
use process::ProcessMetrics;
use sellers::Sellers;

/// The metrics of one broker.
pub(crate) struct Metrics {
    registry: Registry,
    http: HttpRequests,
    sellers: Sellers,
    overhead: [Histogram; Door::ALL.len()],
    attempts_failed: IntCounterVec,
    refusals: IntCounterVec,
    retries: IntCounter,
    retries_denied: IntCounter,
    shed: IntCounter,
    in_flight: IntGauge,
    connected: IntGauge,
    markets: MarketGauges,
    clock_ahead: Gauge,
    clock_refused: IntGauge,
    disk_free: IntGauge,
    disk_refuses: IntGaugeVec,
    /// Locked for one reading at a time, so that each is counted once.
    process: Mutex<ProcessMetrics>,
}

/// An invocation that executed, as it is counted.
pub(crate) struct ExecutedCall<'a> {
    pub(crate) market: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) outcome: Outcome,
    /// Picodollars.
    pub(crate) cost: u64,
    pub(crate) took: Duration,
    pub(crate) overhead: Duration,
}

const MICROS_PER_SECOND: f64 = 1e6;

/// Values that are read only when Prometheus asks.
pub(crate) struct Gauges {
    pub(crate) in_flight: usize,
    pub(crate) is_connected: bool,
    /// Empty while the exchange does not answer.
    pub(crate) markets: Vec<Market>,
    /// None while the exchange does not answer.
    pub(crate) clock: Option<ClockReport>,
    pub(crate) disk: Option<DiskReport>,
}

impl Metrics {
    pub(crate) fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let made = Maker(&registry);
        let overhead = made.histograms(
            "merit_overhead_seconds",
            "What Merit added to the providers' time.",
            prometheus::exponential_buckets(0.00002, 2.0, 14)?,
            &["door"],
        )?;
        let build = made.gauges("merit_build_info", "1; the version of this broker.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Metrics {
            http: HttpRequests::new(&made)?,
            sellers: Sellers::new(&made)?,
            overhead: Door::ALL.map(|door| overhead.with_label_values(&[door.as_str()])),
            attempts_failed: made.counters(
                "merit_attempts_failed_total",
                "Attempts that a provider did not answer, or answered with a gateway error.",
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
            markets: MarketGauges::new(&made)?,
            clock_ahead: made.float_gauge(
                "merit_market_clock_ahead_seconds",
                "Market time minus the exchange's clock; below zero while it is behind.",
            )?,
            disk_free: made
                .gauge("merit_exchange_disk_free_bytes", "Free space of the disk of the exchange's journal.")?,
            disk_refuses: made.gauges(
                "merit_exchange_disk_refuses",
                "1 for uploads, definitions and calls while they are refused for want of space.",
                &["what"],
            )?,
            clock_refused: made.gauge(
                "merit_market_clock_refused",
                "1 while the exchange does not follow its clock, which was set by more than a minute.",
            )?,
            process: Mutex::new(ProcessMetrics::new(&made)?),
            registry,
        })
    }

    /// Counts an attempt at a provider; `further` if it is not the first of its invocation.
    pub(crate) fn attempted(&self, market: &str, provider: &str, further: bool) {
        self.sellers.of(market, provider).attempts.inc();
        if further {
            self.retries.inc();
        }
    }

    /// Counts an invocation that executed.
    pub(crate) fn executed(&self, door: Door, call: &ExecutedCall<'_>) {
        let seller = self.sellers.of(call.market, call.provider);
        let calls = seller.calls(door);
        calls.executed(call.outcome).inc();
        calls.duration.observe(call.took.as_secs_f64());
        self.overhead[door as usize].observe(call.overhead.as_secs_f64());
        seller.settled(call.cost);
    }

    /// Counts an invocation that ended before anything was sent.
    pub(crate) fn refused(&self, door: Door, code: ErrorCode) {
        self.sellers.of("", "").calls(door).refused.inc();
        self.refusals.with_label_values(&[code.as_str()]).inc();
    }

    /// Counts an invocation whose attempts all failed, at the provider of the last one.
    pub(crate) fn failed(&self, door: Door, market: &str, provider: &str) {
        self.sellers.of(market, provider).calls(door).failed.inc();
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

    /// Returns the text that Prometheus reads.
    pub(crate) fn text(&self, now: &Gauges) -> Result<Vec<u8>, prometheus::Error> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.read();
        self.in_flight.set(i64::try_from(now.in_flight).unwrap_or(i64::MAX));
        self.connected.set(i64::from(now.is_connected));
        self.markets.show(&now.markets);
        if let Some(clock) = &now.clock {
            self.clock_ahead.set((clock.at.micros() as f64 - clock.wall.micros() as f64) / MICROS_PER_SECOND);
            self.clock_refused.set(i64::from(clock.refused));
        }
        if let Some(disk) = &now.disk {
            self.disk_free.set(i64::try_from(disk.free_bytes).unwrap_or(i64::MAX));
            let refused = [disk.refuses_uploads, disk.refuses_definitions, disk.refuses_calls];
            for (what, is_refused) in ["uploads", "definitions", "calls"].into_iter().zip(refused) {
                self.disk_refuses.with_label_values(&[what]).set(i64::from(is_refused));
            }
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// Makes metrics and registers them at once.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
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

    /// Makes a counter of money or seconds, which need no whole numbers.
    fn sum(&self, name: &str, help: &str) -> Result<Counter, prometheus::Error> {
        self.known(Counter::new(name, help)?)
    }

    fn sums(&self, name: &str, help: &str, labels: &[&str]) -> Result<CounterVec, prometheus::Error> {
        self.known(CounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.known(IntGauge::new(name, help)?)
    }

    fn float_gauge(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.known(Gauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.known(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// Makes a gauge of fractional values, such as prices.
    fn float_gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        self.known(GaugeVec::new(Opts::new(name, help), labels)?)
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

/// Returns the buckets of durations, from half a millisecond to two minutes.
fn call_seconds() -> Result<Vec<f64>, prometheus::Error> {
    prometheus::exponential_buckets(0.0005, 2.0, 18)
}
