//! The cost of one forwarded invocation: Merit beside proxies that only forward, and beside no proxy at all.
//!
//! Everything runs on this machine in one run: the measured process on one core, the load and the provider behind it on
//! another. The rounds visit every row in turn, so that disturbances fall on all; a row is its median. Never judges.

pub(crate) mod api_client;
mod backend;
pub(crate) mod child;
mod forwarder;
mod measure;
pub(crate) mod merit;
mod proxies;
mod setup;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

pub use forwarder::forward;
pub use setup::SetupError;

/// The targets and sizes of the bench.
#[derive(Clone, Debug)]
pub struct InvokeBenchSettings {
    /// The measured `merit` binary.
    pub merit: PathBuf,
    /// The binary of the forwarder.
    pub forwarder: PathBuf,
    pub targets: Vec<Target>,
    pub connections: Vec<usize>,
    /// Seconds of one row in one round, after a fifth of them to warm up.
    pub seconds: f64,
    pub rounds: usize,
}

/// The program between the load and the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// `merit up`: key, match, dispatch, settlement, journal; answers wait for the disk.
    Merit,
    /// `merit up --durability relaxed`: answers do not wait for the disk.
    MeritRelaxed,
    /// One nginx worker with kept-alive connections both ways.
    Nginx,
    /// One haproxy thread with kept-alive connections both ways.
    Haproxy,
    /// axum and hyper's pooled client, with kept-alive connections both ways.
    Forwarder,
    /// No program: the load calls the provider.
    Direct,
}

impl Target {
    pub const ALL: [Target; 6] =
        [Target::Merit, Target::MeritRelaxed, Target::Nginx, Target::Haproxy, Target::Forwarder, Target::Direct];

    pub const fn as_str(self) -> &'static str {
        match self {
            Target::Merit => "merit",
            Target::MeritRelaxed => "merit-relaxed",
            Target::Nginx => "nginx",
            Target::Haproxy => "haproxy",
            Target::Forwarder => "forwarder",
            Target::Direct => "direct",
        }
    }
}

/// A failure of the bench.
#[derive(Debug, thiserror::Error)]
pub enum InvokeBenchError {
    #[error("connections, rounds and seconds must be above 0")]
    Nothing,
    #[error("the bench's thread cannot be run")]
    Thread(#[source] std::io::Error),
    #[error("the bench's thread ended early")]
    Ended,
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Load(#[from] crate::load::LoadError),
    #[error("the CPU time of process {process} cannot be read")]
    CpuTime { process: u32, source: std::io::Error },
    #[error("{target:?} with {connections} connections: {problem}")]
    Failed { target: Target, connections: usize, problem: String },
}

#[derive(Clone, Debug, Serialize)]
pub struct InvokeBenchReport {
    /// The core of the measured process and that of the rest; `None` if there is only one.
    pub cores: Option<(usize, usize)>,
    pub payload_bytes: usize,
    pub answer_bytes: usize,
    pub seconds: f64,
    pub rounds: usize,
    pub rows: Vec<InvokeBenchRow>,
    /// Targets that are not installed.
    pub missing: Vec<Missing>,
}

/// Medians over the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct InvokeBenchRow {
    pub target: Target,
    pub connections: usize,
    pub requests_per_second: f64,
    pub p50_us: u64,
    pub p99_us: u64,
    /// User and system time of the measured process; `None` without one.
    pub cpu_us_per_request: Option<f64>,
    /// Ratio to nginx with as many connections, if that ran.
    pub cpu_to_nginx: Option<f64>,
    pub p50_to_nginx: Option<f64>,
    /// Minimum and maximum of the rounds.
    pub requests_per_second_range: (f64, f64),
}

#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    pub target: Target,
    pub install: &'static str,
}

/// Size in bytes of each payload and each answer.
pub(crate) const PAYLOAD_BYTES: usize = 200;

/// Runs the bench. Takes about 1.2 x `seconds` for each row of each round.
pub fn run(settings: InvokeBenchSettings) -> Result<InvokeBenchReport, InvokeBenchError> {
    let seconds = settings.seconds;
    let nothing = settings.connections.is_empty() || settings.connections.contains(&0) || settings.rounds == 0;
    if nothing || seconds.is_nan() || seconds <= 0.0 || Duration::try_from_secs_f64(seconds).is_err() {
        return Err(InvokeBenchError::Nothing);
    }
    // The thread is pinned to a core, and has a runtime beside the caller's.
    let bench = std::thread::Builder::new().name("bench".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(InvokeBenchError::Thread)?.block_on(measure::run(settings))
    });
    bench.map_err(InvokeBenchError::Thread)?.join().unwrap_or(Err(InvokeBenchError::Ended))
}
