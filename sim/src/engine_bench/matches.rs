//! One match among many offers, in three shapes: all eligible, few eligible, half eligible at different speeds.
//!
//! Times the whole acquire: search, hold, lease and events. Releases the lease untimed, so that nothing is learned and
//! the market stays as it was. Never settles a timed lease.

use std::time::{Duration, Instant};

use merit_engine::{Command, NotSent};
use merit_terms::{FunctionId, Limits};

use crate::engine_bench::market::{BenchMarket, HALF};
use crate::engine_bench::{EngineBenchError, Latency, Matches, Settings, count, nanoseconds};

/// Rungs of every ladder.
const RUNGS: u32 = 5;
/// Maximum number of matches of one shape: enough for a percentile of 99.9.
const MATCHES_MAX: u64 = 100_000;
/// Wall time of the fastest provider in microseconds.
const FASTEST_US: u64 = 50_000;
/// Slowness of the slowest provider, as a multiple of the fastest.
const SPREAD: u64 = 4;

/// Measures each shape for at most `longest`.
pub(crate) fn run(settings: &Settings, longest: Duration) -> Result<Matches, EngineBenchError> {
    let mut market = BenchMarket::new(settings.seed, settings.match_offers, settings.match_providers, RUNGS)?;
    market.post()?;
    let all = market.put_function("all".to_owned(), true)?;
    let rare = market.put_function("rare".to_owned(), false)?;
    let spread = market.put_function("spread".to_owned(), true)?;
    let half = Limits { labels: vec![(HALF.0.to_owned(), HALF.1.to_owned())], ..Limits::default() };
    teach(&mut market, spread, &half)?;
    Ok(Matches {
        offers: settings.match_offers,
        providers: settings.match_providers,
        all: measure(&mut market, all, &Limits::default(), longest)?,
        rare: measure(&mut market, rare, &Limits::default(), longest)?,
        spread: measure(&mut market, spread, &half, longest)?,
    })
}

/// Runs the function once at every second provider, each with its own speed.
fn teach(market: &mut BenchMarket, function: FunctionId, half: &Limits) -> Result<(), EngineBenchError> {
    let providers = market.providers.clone();
    let last = providers.len().max(2) as u64 - 1;
    for (i, provider) in providers.into_iter().enumerate().step_by(2) {
        let only = vec![format!("p-{}", provider.number()).parse()?];
        let acquire = market.acquire(function, Limits { only, ..half.clone() });
        let (lease, ..) = market.granted(&acquire)?;
        let wall_us = FASTEST_US + FASTEST_US * (SPREAD - 1) * i as u64 / last;
        market.must(BenchMarket::settle(lease, wall_us))?;
    }
    Ok(())
}

fn measure(
    market: &mut BenchMarket,
    function: FunctionId,
    limits: &Limits,
    longest: Duration,
) -> Result<Latency, EngineBenchError> {
    let mut histogram = nanoseconds()?;
    let ends = Instant::now() + longest;
    while histogram.len() < MATCHES_MAX && Instant::now() < ends {
        let acquire = market.acquire(function, limits.clone());
        let (lease, _, took) = market.granted(&acquire)?;
        count(&mut histogram, took);
        market.must(Command::Release { lease, why: NotSent::Withdrawn })?;
    }
    Ok(Latency {
        matches: histogram.len(),
        p50_ns: histogram.value_at_quantile(0.5),
        p999_ns: histogram.value_at_quantile(0.999),
    })
}
