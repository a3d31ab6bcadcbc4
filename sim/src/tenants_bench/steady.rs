//! The good tenant: one call after the other at a steady rate, each timed from the moment at which it was due, so that
//! a stall counts against every call that it delays. Never waits for an answer before the next call.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::HeaderValue;
use tokio::runtime::Handle;
use tokio::task::{JoinSet, spawn_blocking};

use crate::tenants_bench::TenantsBenchError;
use crate::tenants_bench::caller::{Answer, Caller};

/// Maximum recorded latency.
const LATENCY_MAX: Duration = Duration::from_secs(60);
const PAYLOAD: &[u8] = &[b'p'; 200];
const PATH: &str = "/v1/functions/steady/invocations";

/// The good tenant's calls.
pub(crate) struct Steady {
    caller: Caller,
    interval: Duration,
}

/// The outcome of some of them.
pub(crate) struct SteadyOutcome {
    pub(crate) calls: u64,
    pub(crate) good: u64,
    /// Answers other than the expected one.
    pub(crate) failures: BTreeMap<String, u64>,
    /// In microseconds, of all calls.
    pub(crate) latency_us: Histogram<u64>,
}

impl Steady {
    pub(crate) fn new(server: SocketAddr, authorization: HeaderValue, rate: f64) -> Steady {
        Steady { caller: Caller::new(server, authorization), interval: Duration::from_secs_f64(1.0 / rate) }
    }

    /// Calls for so long, and waits for the last answer.
    pub(crate) async fn run(&self, duration: Duration) -> Result<SteadyOutcome, TenantsBenchError> {
        let count = (duration.as_secs_f64() / self.interval.as_secs_f64()).ceil() as u32;
        let (caller, interval, runtime) = (self.caller.clone(), self.interval, Handle::current());
        // A thread of its own: the timers of the runtime are coarse.
        let pacing = spawn_blocking(move || {
            let (mut calls, began) = (JoinSet::new(), Instant::now());
            for number in 0..count {
                let due = began + interval * number;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                calls.spawn_on(call(caller.clone(), due), &runtime);
            }
            calls
        });
        let mut calls = pacing.await?;
        let mut outcome = SteadyOutcome::empty()?;
        while let Some(ended) = calls.join_next().await {
            outcome.count(ended?);
        }
        Ok(outcome)
    }
}

async fn call(caller: Caller, due: Instant) -> (Answer, Duration) {
    let answer = caller.invoke(PATH, None, Bytes::from_static(PAYLOAD)).await;
    (answer, due.elapsed())
}

impl SteadyOutcome {
    pub(crate) fn empty() -> Result<SteadyOutcome, TenantsBenchError> {
        let latency_us = Histogram::new_with_max(LATENCY_MAX.as_micros() as u64, 3)?;
        Ok(SteadyOutcome { calls: 0, good: 0, failures: BTreeMap::new(), latency_us })
    }

    fn count(&mut self, (answer, took): (Answer, Duration)) {
        self.calls += 1;
        self.latency_us.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        if answer.is_success() && answer.body == PAYLOAD {
            self.good += 1;
        } else {
            *self.failures.entry(answer.word()).or_default() += 1;
        }
    }

    pub(crate) fn add(&mut self, other: &SteadyOutcome) {
        self.calls += other.calls;
        self.good += other.good;
        for (word, count) in &other.failures {
            *self.failures.entry(word.clone()).or_default() += count;
        }
        for value in other.latency_us.iter_recorded() {
            self.latency_us.saturating_record_n(value.value_iterated_to(), value.count_since_last_iteration());
        }
    }
}
