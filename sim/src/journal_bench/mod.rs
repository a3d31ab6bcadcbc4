//! The speed of the journal: commands a second that are applied, encoded and durable under group commit.
//!
//! Runs the production engine, codec, sequencer and journal on real files, with many submitters in one process that
//! wait for durability in bulk. Two loads: calls, acquired and settled in a small market, and entries, which cost the
//! engine next to nothing, so that the journal itself is measured. Beside them the floor: a preallocated file with
//! writes of the same size and syncs. Then the time of a start on all of it. Never measures network, books and tape;
//! snapshots only if asked for.

mod floor;
mod market;
mod start;
mod submit;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use merit_engine::{Engine, Reply};
use merit_exchange::snapshot::{MakeError, Maker};
use merit_exchange::{Clock, Happened, Projection, RestoreError, Sequencer, SubmitError, restore};
use merit_journal::storage::Directory;
use merit_terms::{NameError, Refusal};
use serde::Serialize;

use market::Market;
pub use start::Starts;
use submit::CommandLoad;

/// The sizes of the bench.
#[derive(Clone, Debug)]
pub struct JournalBenchSettings {
    /// Parent of the data directory, which is removed afterwards; `None` for the directory of temporary files.
    pub within: Option<PathBuf>,
    /// Number of submitters, each with one burst after the other.
    pub submitters: u32,
    /// Commands that a submitter submits before it waits for all of them.
    pub burst: u32,
    /// Seconds of each load.
    pub seconds: f64,
    /// Seconds of the floor.
    pub floor_seconds: f64,
    /// Makes snapshots beside the load, as in production.
    pub snapshots: bool,
}

/// A failure of the bench.
#[derive(Debug, thiserror::Error)]
pub enum JournalBenchError {
    #[error("submitters, burst and seconds must be above 0")]
    Nothing,
    #[error("could not {doing} {path}")]
    Files { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error(transparent)]
    Snapshot(#[from] MakeError),
    #[error("could not start a thread")]
    Thread(#[source] std::io::Error),
    #[error("the engine refused a command of the bench: {0}")]
    Refused(Refusal),
    #[error("the engine answered a command with another one's reply")]
    Reply,
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error("a submitter failed")]
    Submitter(#[from] tokio::task::JoinError),
    #[error("a name of the bench is malformed")]
    Name(#[from] NameError),
    #[error("the latencies cannot be recorded")]
    Histogram(#[from] hdrhistogram::CreationError),
}

/// The measurements; every size is as it was run.
#[derive(Clone, Debug, Serialize)]
pub struct JournalBenchReport {
    pub submitters: u32,
    pub burst: u32,
    pub snapshots: bool,
    /// Rate of calls, acquired and settled, with a match or a bill behind each.
    pub commands_per_second: f64,
    pub calls: Phase,
    /// Entries, which cost the engine next to nothing: the rate of codec, sequencer and journal.
    pub entries: Phase,
    /// Starts on the directory that both loads left.
    pub starts: Starts,
    /// Rate of the floor, with batches as long as those of the calls.
    pub floor_records_per_second: f64,
    pub floor_syncs_per_second: f64,
    pub floor_seconds: f64,
}

/// The measurements of one load.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    pub commands: u64,
    pub seconds: f64,
    pub commands_per_second: f64,
    /// Durable batches, each with one write and one sync.
    pub syncs_per_second: f64,
    pub commands_per_batch: f64,
    pub bytes_per_command: f64,
    /// Delay from the last command of a burst to its durability.
    pub durable_p50_us: u64,
    pub durable_p99_us: u64,
}

/// A sink that counts durable batches and drops them.
#[derive(Default)]
struct Counted {
    batches: AtomicU64,
    commands: AtomicU64,
}

impl Projection for Counted {
    fn checkpoint(&self) -> u64 {
        u64::MAX
    }

    fn begin(&self, _engine: &Engine) {}

    fn apply(&self, happened: &mut Vec<Happened>) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.commands.fetch_add(happened.len() as u64, Ordering::Relaxed);
    }
}

/// The durable counts so far.
#[derive(Clone, Copy)]
struct Durable {
    batches: u64,
    commands: u64,
    bytes: u64,
}

/// Runs the bench. Takes about the seconds of both loads and of the floor, and two starts.
pub async fn run(settings: &JournalBenchSettings) -> Result<JournalBenchReport, JournalBenchError> {
    let has_time = settings.seconds > 0.0 && settings.floor_seconds > 0.0;
    if settings.submitters == 0 || settings.burst == 0 || !has_time {
        return Err(JournalBenchError::Nothing);
    }
    let within = settings.within.clone().unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::Builder::new()
        .prefix("merit-bench-")
        .tempdir_in(&within)
        .map_err(|source| JournalBenchError::Files { doing: "make a directory in", path: within, source })?;

    let (entries, calls) = submit_both(settings, directory.path()).await?;
    let starts = start::measure(directory.path())?;
    let batch_bytes = (calls.commands_per_batch * calls.bytes_per_command).round() as u64;
    let floor_time = Duration::from_secs_f64(settings.floor_seconds);
    let floor = floor::measure(&directory.path().join("floor"), batch_bytes.max(1), floor_time)?;
    let floor_syncs_per_second = floor.syncs as f64 / floor.seconds;
    Ok(JournalBenchReport {
        submitters: settings.submitters,
        burst: settings.burst,
        snapshots: settings.snapshots,
        commands_per_second: calls.commands_per_second,
        floor_records_per_second: floor_syncs_per_second * calls.commands_per_batch,
        floor_syncs_per_second,
        floor_seconds: floor.seconds,
        calls,
        entries,
        starts,
    })
}

/// Submits both loads, one after the other, through one sequencer.
async fn submit_both(settings: &JournalBenchSettings, path: &Path) -> Result<(Phase, Phase), JournalBenchError> {
    let failed = |source| JournalBenchError::Files { doing: "use", path: path.to_owned(), source };
    let storage = Directory::create(path).map_err(failed)?;
    let counted = Arc::new(Counted::default());
    let restored = restore(storage.clone(), merit_journal::Settings::default(), &*counted)?;
    let identity = restored.journal.identity();
    let clock = Clock::begin(restored.engine.last_at(), None);
    let sequencer = Sequencer::start(restored.engine, restored.journal, counted.clone(), clock);
    let sequencer = Arc::new(sequencer.map_err(JournalBenchError::Thread)?);
    let market = Arc::new(Market::open(&sequencer)?);
    sequencer.read_durable(|_| ()).await?;
    let maker = if settings.snapshots {
        let maker = Maker::start(storage, identity, sequencer.progress(), || u64::MAX, restored.made);
        Some(maker.map_err(JournalBenchError::Thread)?)
    } else {
        None
    };
    let entries = submit(settings, &sequencer, &market, &counted, CommandLoad::Entries).await?;
    let calls = submit(settings, &sequencer, &market, &counted, CommandLoad::Calls).await?;
    if let Some(maker) = maker {
        maker.stop();
    }
    sequencer.close();
    Ok((entries, calls))
}

/// Submits one load for its time, and waits for its durability.
async fn submit(
    settings: &JournalBenchSettings,
    sequencer: &Arc<Sequencer>,
    market: &Arc<Market>,
    counted: &Counted,
    load: CommandLoad,
) -> Result<Phase, JournalBenchError> {
    let durable = || Durable {
        batches: counted.batches.load(Ordering::Relaxed),
        commands: counted.commands.load(Ordering::Relaxed),
        bytes: sequencer.progress().before_last_batch().1,
    };
    let before = durable();
    let started = Instant::now();
    let until = started + Duration::from_secs_f64(settings.seconds);
    let waits = submit::all(sequencer, market, settings, load, until).await?;
    let seconds = started.elapsed().as_secs_f64();
    let after = durable();
    let (batches, commands) = ((after.batches - before.batches) as f64, after.commands - before.commands);
    Ok(Phase {
        commands,
        seconds,
        commands_per_second: commands as f64 / seconds,
        syncs_per_second: batches / seconds,
        commands_per_batch: commands as f64 / batches,
        bytes_per_command: (after.bytes - before.bytes) as f64 / commands as f64,
        durable_p50_us: waits.value_at_quantile(0.5),
        durable_p99_us: waits.value_at_quantile(0.99),
    })
}

/// Submits a command that must not be refused.
fn must(sequencer: &Sequencer, command: &merit_engine::Command) -> Result<Reply, JournalBenchError> {
    sequencer.submit(command)?.applied.reply.map_err(JournalBenchError::Refused)
}
