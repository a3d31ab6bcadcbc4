//! Prometheus metrics of the broker: rate, errors, duration and money.

use std::time::Duration;

use prometheus::{Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

use crate::dispatch::{End, Finished};

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
    invocations: IntCounterVec,
    duration: HistogramVec,
    overhead: HistogramVec,
    attempts_failed: IntCounterVec,
    cost: IntCounterVec,
    shed: IntCounter,
}

impl Metrics {
    pub(crate) fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let histogram = |name: &str, help: &str, buckets: Vec<f64>, labels: &[&str]| {
            let histogram = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let seconds = prometheus::exponential_buckets(0.0005, 2.0, 18)?;
        let micros = prometheus::exponential_buckets(0.00002, 2.0, 14)?;
        Ok(Metrics {
            invocations: counter(
                "merit_invocations_total",
                "Invocations by how they ended.",
                &["door", "market", "provider", "outcome"],
            )?,
            duration: histogram(
                "merit_invocation_duration_seconds",
                "From the whole request to the whole answer.",
                seconds,
                &["door", "market", "provider"],
            )?,
            overhead: histogram(
                "merit_overhead_seconds",
                "What Merit added to the providers' time.",
                micros,
                &["door"],
            )?,
            attempts_failed: counter(
                "merit_attempts_failed_total",
                "Attempts that a provider did not answer.",
                &["provider", "execution"],
            )?,
            cost: counter(
                "merit_cost_picodollars_total",
                "What invocations cost, in 1e-12 USD.",
                &["market", "provider"],
            )?,
            shed: {
                let shed =
                    IntCounter::new("merit_shed_total", "Invocations turned away because too many were under way.")?;
                registry.register(Box::new(shed.clone()))?;
                shed
            },
            registry,
        })
    }

    pub(crate) fn finished(&self, door: Door, finished: &Finished, took: Duration, overhead: Duration) {
        let (market, provider) =
            finished.grant.as_ref().map_or(("", ""), |grant| (grant.market.as_str(), grant.provider.as_str()));
        let outcome = match &finished.end {
            End::Executed { outcome, .. } => outcome.as_str(),
            End::Refused { .. } => "refused",
            End::Failed { .. } => "failed",
        };
        self.invocations.with_label_values(&[door.as_str(), market, provider, outcome]).inc();
        if let End::Executed { cost, .. } = finished.end {
            self.duration.with_label_values(&[door.as_str(), market, provider]).observe(took.as_secs_f64());
            self.overhead.with_label_values(&[door.as_str()]).observe(overhead.as_secs_f64());
            self.cost.with_label_values(&[market, provider]).inc_by(cost);
        }
    }

    pub(crate) fn attempt_failed(&self, provider: &str, execution: &str) {
        self.attempts_failed.with_label_values(&[provider, execution]).inc();
    }

    pub(crate) fn shed(&self) {
        self.shed.inc();
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
