//! Two bad tenants beside a good one: the good one's success and latency with and without them, in one run.
//!
//! A market of real processes on this machine, with keys and an account each. Each round measures the good tenant
//! alone, and then while the bad ones attack. Never judges.

mod attack;
mod caller;
mod hostile;
mod market;
mod server;
mod steady;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinError;

use self::attack::{Attack, Attacking, Counts};
use self::market::TenantsMarket;
use self::server::{BadServer, nowhere};
use self::steady::{Steady, SteadyOutcome};
use crate::invoke_bench::SetupError;

/// The sizes of the bench.
#[derive(Clone, Debug)]
pub struct TenantsBenchSettings {
    /// The measured `merit` binary.
    pub merit: PathBuf,
    /// The good tenant's module, which answers its payload.
    pub module: &'static [u8],
    /// Seconds of all rounds with the bad tenants, and as many without.
    pub seconds: f64,
    pub rounds: u32,
    /// Calls a second of the good tenant.
    pub rate: f64,
    /// Calls at once of each account, as its operator limits them; None for no limit.
    pub max_concurrency: Option<u32>,
    /// Part of the names of the deeds that the bad tenants do; empty for all.
    pub only: String,
}

/// A failure of the bench.
#[derive(Debug, thiserror::Error)]
pub enum TenantsBenchError {
    #[error("seconds, rounds and rate must be above 0")]
    Nothing,
    #[error("no attack has `{0}` in its name; they are listed below each report")]
    Only(String),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("the threads of the bad tenants cannot be started")]
    Thread(#[source] std::io::Error),
    #[error("the latencies cannot be recorded")]
    Histogram(#[from] hdrhistogram::CreationError),
    #[error("a call's task ended early")]
    Task(#[from] JoinError),
}

#[derive(Clone, Debug, Serialize)]
pub struct TenantsBenchReport {
    pub seconds: f64,
    pub rate: f64,
    pub max_concurrency: Option<u32>,
    /// Bad tenants, and loops of each.
    pub bad_tenants: usize,
    pub loops: usize,
    pub rows: Vec<TenantsBenchRow>,
    pub alone: TenantsBenchRow,
    pub attacked: TenantsBenchRow,
    /// p99 beside the bad tenants to p99 alone.
    pub p99_ratio: f64,
    pub deeds: Vec<DeedRow>,
}

/// The good tenant's calls in one phase, or in all of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct TenantsBenchRow {
    /// None for the sum of all rounds.
    pub round: Option<u32>,
    pub attacked: bool,
    pub calls: u64,
    pub success_percent: f64,
    /// From the time at which a call was due.
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
    /// Failed calls by their answers.
    pub failures: Vec<(String, u64)>,
}

/// One harmful thing and its answers: status and code, most frequent first.
#[derive(Clone, Debug, Serialize)]
pub struct DeedRow {
    pub deed: &'static str,
    pub answers: Vec<(String, u64)>,
}

const BAD_TENANTS: [&str; 2] = ["bad-1", "bad-2"];
/// Time before a measurement in which every seller's module gets ready.
const WARM_UP: Duration = Duration::from_secs(2);

/// Runs the bench. Takes about 2 x `seconds`, and some seconds more for each round.
pub async fn run(settings: TenantsBenchSettings) -> Result<TenantsBenchReport, TenantsBenchError> {
    let TenantsBenchSettings { seconds, rounds, rate, .. } = settings;
    // It and its inverse are durations.
    let is_usable = |number: f64| number > 0.0 && Duration::try_from_secs_f64(number.max(1.0 / number)).is_ok();
    if rounds == 0 || !is_usable(seconds) || !is_usable(rate) {
        return Err(TenantsBenchError::Nothing);
    }
    if !attack::names().any(|name| name.contains(&settings.only)) {
        return Err(TenantsBenchError::Only(settings.only));
    }
    let directory = tempfile::tempdir().map_err(SetupError::Directory)?;
    let server = BadServer::start().await.map_err(SetupError::Backend)?;
    let nowhere = nowhere().await.map_err(SetupError::Backend)?;
    let market = TenantsMarket::start(&settings.merit, directory.path(), server.address, nowhere).await?;
    let steady = good_tenant(&market, &settings).await?;
    let attacks = bad_tenants(&market, &settings).await?;

    let (mut alone, mut attacked) = (SteadyOutcome::empty()?, SteadyOutcome::empty()?);
    let mut rows = Vec::new();
    let phase = Duration::from_secs_f64(seconds / f64::from(rounds));
    for round in 1..=rounds {
        // New sellers, so that no compiler of the round before disturbs the good tenant while it is alone.
        let sellers = market.start_sellers().await?;
        steady.run(WARM_UP).await?;
        let outcome = steady.run(phase).await?;
        rows.push(row(Some(round), false, &outcome));
        alone.add(&outcome);
        let attacking = Attacking::begin(&attacks, &settings.only).map_err(TenantsBenchError::Thread)?;
        let outcome = steady.run(phase).await?;
        drop(attacking);
        rows.push(row(Some(round), true, &outcome));
        attacked.add(&outcome);
        sellers.stop().await;
    }
    let (alone, attacked) = (row(None, false, &alone), row(None, true, &attacked));
    Ok(TenantsBenchReport {
        seconds,
        rate,
        max_concurrency: settings.max_concurrency,
        bad_tenants: BAD_TENANTS.len(),
        loops: attack::LOOPS,
        rows,
        p99_ratio: attacked.p99_us as f64 / alone.p99_us as f64,
        alone,
        attacked,
        deeds: deeds(&attacks),
    })
}

async fn good_tenant(market: &TenantsMarket, settings: &TenantsBenchSettings) -> Result<Steady, SetupError> {
    let api = market.open_client("good", settings.max_concurrency).await?;
    let kept = api.ask(Method::PUT, "/v1/functions/steady/module?revision=false", settings.module).await?;
    let definition = json!({
        "memory_mb": 128, "timeout_ms": 3000, "providers": "any", "idempotent": true, "module": kept["module"],
    });
    api.ask(Method::PUT, "/v1/functions/steady", definition.to_string()).await?;
    Ok(Steady::new(api.server, api.authorization()?, settings.rate))
}

async fn bad_tenants(market: &TenantsMarket, settings: &TenantsBenchSettings) -> Result<Vec<Arc<Attack>>, SetupError> {
    let mut attacks = Vec::new();
    for account in BAD_TENANTS {
        let api = market.open_client(account, settings.max_concurrency).await?;
        attacks.push(Attack::prepare(account, &api, settings.module).await?);
    }
    Ok(attacks)
}

fn row(round: Option<u32>, attacked: bool, outcome: &SteadyOutcome) -> TenantsBenchRow {
    TenantsBenchRow {
        round,
        attacked,
        calls: outcome.calls,
        success_percent: 100.0 * outcome.good as f64 / outcome.calls as f64,
        p50_us: outcome.latency_us.value_at_quantile(0.5),
        p99_us: outcome.latency_us.value_at_quantile(0.99),
        max_us: outcome.latency_us.max(),
        failures: outcome.failures.clone().into_iter().collect(),
    }
}

/// Returns the answers of all bad tenants together, in the order in which one does its deeds.
fn deeds(attacks: &[Arc<Attack>]) -> Vec<DeedRow> {
    let mut counts = Counts::default();
    attacks.iter().for_each(|attack| attack.add_to(&mut counts));
    let row = |deed| {
        let mut answers: Vec<(String, u64)> = counts.remove(deed).unwrap_or_default().into_iter().collect();
        answers.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        DeedRow { deed, answers }
    };
    attack::names().map(row).collect()
}
