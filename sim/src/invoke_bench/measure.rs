//! The rounds of the bench: every target with every number of connections, over and over, and their medians. Never
//! starts a target more than once.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use crate::invoke_bench::backend::Backend;
use crate::invoke_bench::child::{Cores, Measured, pin};
use crate::invoke_bench::merit::{self, Merit, Selling};
use crate::invoke_bench::{
    InvokeBenchError, InvokeBenchReport, InvokeBenchRow, InvokeBenchSettings, Missing, PAYLOAD_BYTES, SetupError,
    Target, proxies,
};
use crate::load::{self, Load};

/// The processes of a run.
struct Started {
    targets: Vec<StartedTarget>,
    _backend: Backend,
}

/// A target's address and its measured process.
struct StartedTarget {
    target: Target,
    server: SocketAddr,
    path: &'static str,
    headers: HeaderMap,
    measured: Option<Measured>,
    /// The provider's session, which ends with the target.
    _selling: Option<Selling>,
}

/// One measurement of one row.
struct Sample {
    requests_per_second: f64,
    p50_us: u64,
    p99_us: u64,
    cpu_us_per_request: Option<f64>,
}

pub(crate) async fn run(settings: InvokeBenchSettings) -> Result<InvokeBenchReport, InvokeBenchError> {
    let directory = tempfile::tempdir().map_err(SetupError::Directory)?;
    let cores = Cores::choose()?;
    if let Some(cores) = cores {
        pin(cores.rest)?;
    }
    let backend = Backend::start().await.map_err(SetupError::Backend)?;
    let (mut targets, mut missing) = (Vec::new(), Vec::new());
    for target in settings.targets.iter().copied() {
        let started = start(target, &settings, backend.address, cores, directory.path()).await?;
        missing
            .extend(proxies::install(target).filter(|_| started.is_none()).map(|install| Missing { target, install }));
        targets.extend(started);
    }
    let started = Started { targets, _backend: backend };
    let measured = started.rounds(&settings).await;
    started.end().await;
    Ok(InvokeBenchReport {
        cores: cores.map(|cores| (cores.measured, cores.rest)),
        payload_bytes: PAYLOAD_BYTES,
        answer_bytes: PAYLOAD_BYTES,
        seconds: settings.seconds,
        rounds: settings.rounds,
        rows: measured?,
        missing,
    })
}

/// Starts a target in front of `backend`. Returns `None` if it is not installed.
async fn start(
    target: Target,
    settings: &InvokeBenchSettings,
    backend: SocketAddr,
    cores: Option<Cores>,
    directory: &Path,
) -> Result<Option<StartedTarget>, SetupError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let at = |server, measured| StartedTarget {
        target,
        server,
        path: "/",
        headers: headers.clone(),
        measured,
        _selling: None,
    };
    let of = |(measured, server)| at(server, Some(measured));
    Ok(match target {
        Target::Merit | Target::MeritRelaxed => {
            let durability = if target == Target::Merit { "durable" } else { "relaxed" };
            let directory = directory.join(target.as_str());
            std::fs::create_dir(&directory).map_err(SetupError::Directory)?;
            let merit = Merit::start(&settings.merit, durability, backend, cores, &directory).await?;
            let mut started = at(merit.http, Some(merit.measured));
            started.headers.insert(header::AUTHORIZATION, merit.authorization);
            Some(StartedTarget { path: merit::PATH, _selling: Some(merit.selling), ..started })
        }
        Target::Nginx => proxies::nginx(backend, cores, directory).await?.map(of),
        Target::Haproxy => proxies::haproxy(backend, cores, directory).await?.map(of),
        Target::Forwarder => Some(of(proxies::forwarder(&settings.forwarder, backend, cores, directory).await?)),
        Target::Direct => Some(at(backend, None)),
    })
}

impl Started {
    async fn end(self) {
        for measured in self.targets.into_iter().filter_map(|target| target.measured) {
            measured.end().await;
        }
    }

    async fn rounds(&self, settings: &InvokeBenchSettings) -> Result<Vec<InvokeBenchRow>, InvokeBenchError> {
        let rows = settings
            .connections
            .iter()
            .flat_map(|connections| self.targets.iter().map(|target| (target, *connections, Vec::new())));
        let mut rows: Vec<(&StartedTarget, usize, Vec<Sample>)> = rows.collect();
        for _ in 0..settings.rounds {
            for (target, connections, samples) in &mut rows {
                samples.push(target.sample(*connections, settings.seconds).await?);
            }
        }
        let mut rows: Vec<InvokeBenchRow> =
            rows.into_iter().map(|(target, connections, samples)| row(target.target, connections, samples)).collect();
        compare_to_nginx(&mut rows);
        Ok(rows)
    }
}

impl StartedTarget {
    /// Warms up, then measures.
    async fn sample(&self, connections: usize, seconds: f64) -> Result<Sample, InvokeBenchError> {
        let failed = |problem| InvokeBenchError::Failed { target: self.target, connections, problem };
        let measured = self.measured.as_ref();
        let load = |seconds| Load {
            server: self.server,
            path: self.path.to_owned(),
            headers: self.headers.clone(),
            payload: Bytes::from_static(&[b'p'; PAYLOAD_BYTES]),
            connections,
            duration: Duration::from_secs_f64(seconds),
            requests_max: None,
            keeps_receipts: false,
        };
        load::run(load(seconds / 5.0)).await?;
        let before = measured.map(Measured::cpu_time).transpose()?;
        let outcome = load::run(load(seconds)).await?;
        let after = measured.map(Measured::cpu_time).transpose()?;
        // A row that counted failures as requests would favour the fastest failure.
        if !outcome.errors.is_empty() || outcome.broken > 0 || outcome.unconnected > 0 || outcome.answered == 0 {
            return Err(failed(format!(
                "{} answered, {} broken, {} unconnected, other answers: {:?}",
                outcome.answered, outcome.broken, outcome.unconnected, outcome.errors
            )));
        }
        let cpu = before.zip(after).map(|(before, after)| after.saturating_sub(before));
        Ok(Sample {
            requests_per_second: outcome.requests_per_second(),
            p50_us: outcome.percentile_us(0.5),
            p99_us: outcome.percentile_us(0.99),
            cpu_us_per_request: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / outcome.answered as f64),
        })
    }
}

fn row(target: Target, connections: usize, samples: Vec<Sample>) -> InvokeBenchRow {
    let rates: Vec<f64> = samples.iter().map(|sample| sample.requests_per_second).collect();
    let of = |select: fn(&Sample) -> f64| median(samples.iter().map(select).collect());
    let cpu: Vec<f64> = samples.iter().filter_map(|sample| sample.cpu_us_per_request).collect();
    InvokeBenchRow {
        target,
        connections,
        requests_per_second: of(|sample| sample.requests_per_second),
        p50_us: of(|sample| sample.p50_us as f64) as u64,
        p99_us: of(|sample| sample.p99_us as f64) as u64,
        cpu_us_per_request: (!cpu.is_empty()).then(|| median(cpu)),
        cpu_to_nginx: None,
        p50_to_nginx: None,
        requests_per_second_range: (
            rates.iter().copied().fold(f64::INFINITY, f64::min),
            rates.iter().copied().fold(0.0, f64::max),
        ),
    }
}

fn compare_to_nginx(rows: &mut [InvokeBenchRow]) {
    let nginx: Vec<InvokeBenchRow> = rows.iter().filter(|row| row.target == Target::Nginx).cloned().collect();
    for row in rows {
        let Some(other) = nginx.iter().find(|other| other.connections == row.connections) else { continue };
        row.cpu_to_nginx = row.cpu_us_per_request.zip(other.cpu_us_per_request).map(|(own, other)| own / other);
        row.p50_to_nginx = Some(row.p50_us as f64 / other.p50_us as f64);
    }
}

/// Returns the median; of an even number the lower of the middle two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}
