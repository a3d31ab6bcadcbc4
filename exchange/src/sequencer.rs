//! The sequencer: gives every command its place, applies it, and makes it durable by group commit.
//!
//! One mutex guards the engine and the batch being collected; a thread of its own writes one batch while the next one
//! fills. What waits for durability waits for its batch; the matcher never does. Projections see a batch only
//! once it is durable. After a failed write or sync nothing is accepted any more: the process must end.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use merit_engine::{Applied, Command, Engine, Event};
use merit_terms::Time;
use tokio::sync::watch;

use crate::clock;
use crate::codec;
use crate::journal::{Batch, Journal};
use crate::storage::Storage;

/// What may wait for the disk: a bound, so that a stalled disk refuses commands instead of filling memory.
const WAITING_MAX_BYTES: usize = 64 << 20;

/// Why a command was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error("the exchange has stopped: {0}")]
    Stopped(String),
    #[error("the journal is {WAITING_MAX_BYTES} bytes behind; try again shortly")]
    Behind,
}

/// A command that was applied, and the wait for its durability.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) applied: Applied,
    pub(crate) durable: Durable,
}

/// The wait for a batch to be durable.
#[derive(Clone, Debug)]
pub(crate) struct Durable(watch::Receiver<bool>);

impl Durable {
    /// Returns once everything before it is durable and the projections have seen it.
    pub(crate) async fn wait(mut self) -> Result<(), SubmitError> {
        let stopped = |_| SubmitError::Stopped("its journal failed".to_owned());
        self.0.wait_for(|durable| *durable).await.map(drop).map_err(stopped)
    }
}

/// One durable command's events, for the projections.
#[derive(Debug)]
pub(crate) struct Happened {
    pub(crate) sequence: u64,
    pub(crate) at: Time,
    pub(crate) events: Vec<Event>,
}

/// Where durable events go. Called by the journal's thread, in order, each command once.
pub(crate) trait Projection: Send + Sync + 'static {
    fn apply(&self, happened: Vec<Happened>);
}

struct Core {
    engine: Engine,
    batch: Batch,
    record: Vec<u8>,
    happened: Vec<Happened>,
    durable: watch::Sender<bool>,
    stopped: Option<String>,
    closing: bool,
}

struct Shared {
    core: Mutex<Core>,
    work: Condvar,
    stopped: watch::Sender<Option<String>>,
}

/// The engine behind its journal. Dropping it writes what waits and releases the directory.
pub(crate) struct Sequencer {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Sequencer {
    /// Goes on after `journal` with the engine that its replay gave.
    pub(crate) fn start<S: Storage + 'static>(
        engine: Engine,
        journal: Journal<S>,
        projection: Arc<impl Projection>,
    ) -> std::io::Result<Sequencer>
    where
        Journal<S>: Send,
    {
        let shared = Arc::new(Shared {
            core: Mutex::new(Core {
                batch: Batch::starting_at(engine.sequence() + 1),
                engine,
                record: Vec::new(),
                happened: Vec::new(),
                durable: watch::Sender::new(false),
                stopped: None,
                closing: false,
            }),
            work: Condvar::new(),
            stopped: watch::Sender::new(None),
        });
        let writer = {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name("journal".to_owned())
                .spawn(move || write_batches(&shared, journal, &*projection))?
        };
        Ok(Sequencer { shared, writer: Mutex::new(Some(writer)) })
    }

    /// Applies a command now. Its reply is final; whether it is durable is for the caller to wait for.
    pub(crate) fn submit(&self, command: &Command) -> Result<Submitted, SubmitError> {
        let mut core = self.shared.lock();
        if let Some(reason) = &core.stopped {
            return Err(SubmitError::Stopped(reason.clone()));
        }
        if core.batch.bytes() > WAITING_MAX_BYTES {
            return Err(SubmitError::Behind);
        }
        let applied = core.apply(clock::now(), command);
        let durable = Durable(core.durable.subscribe());
        self.shared.work.notify_one();
        Ok(Submitted { applied, durable })
    }

    /// Looks at the engine; also at what is not durable yet.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Engine) -> T) -> T {
        look(&self.shared.lock().engine)
    }

    /// Looks at the engine and returns what was seen once it is durable.
    pub(crate) async fn read_durable<T>(&self, look: impl FnOnce(&Engine) -> T) -> Result<T, SubmitError> {
        let (seen, durable) = {
            let core = self.shared.lock();
            if let Some(reason) = &core.stopped {
                return Err(SubmitError::Stopped(reason.clone()));
            }
            self.shared.work.notify_one();
            (look(&core.engine), Durable(core.durable.subscribe()))
        };
        durable.wait().await?;
        Ok(seen)
    }

    /// Returns the reason once the journal has failed; the process must end then.
    pub(crate) async fn stopped(&self) -> String {
        let mut stopped = self.shared.stopped.subscribe();
        match stopped.wait_for(Option::is_some).await.map(|reason| reason.clone()) {
            Ok(Some(reason)) => reason,
            _ => "the journal's thread ended".to_owned(),
        }
    }

    /// Writes what waits, then releases the directory.
    pub(crate) fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(panic)) = writer.map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Sequencer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.close();
        }
    }
}

impl Shared {
    /// A panic inside `apply` is a bug after which nothing may go on with this state: the process ends here, and the
    /// next one replays.
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(|_| crash())
    }
}

/// Ends the process: what failed is in the log, and a restart replays the journal.
fn crash() -> ! {
    tracing::error!(
        "the engine or its journal failed in the middle of a command; the process ends, restart it to replay"
    );
    std::process::abort()
}

/// Ends the process if the journal's thread panics: without it nothing would ever be durable again.
struct CrashOnPanic;

impl Drop for CrashOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crash();
        }
    }
}

impl Core {
    fn apply(&mut self, clock: Time, command: &Command) -> Applied {
        let mut events = Vec::new();
        let applied = self.engine.apply(clock, command, &mut events);
        if let Some(sequence) = applied.sequence {
            self.record.clear();
            codec::encode(applied.at, command, &mut self.record);
            self.batch.push(&self.record);
            self.happened.push(Happened { sequence, at: applied.at, events });
        }
        applied
    }

    /// Runs what is due, when nothing else comes that would.
    fn tick(&mut self) {
        let now = clock::now();
        while self.engine.next_due().is_some_and(|due| due <= now) {
            self.apply(now, &Command::Tick);
        }
    }
}

fn write_batches<S: Storage>(shared: &Shared, mut journal: Journal<S>, projection: &impl Projection) {
    let _crash = CrashOnPanic;
    let mut spare = Batch::starting_at(0);
    while let Some((mut batch, happened, durable)) = next_batch(shared, spare) {
        if let Err(error) = journal.append(&mut batch) {
            let reason = chain(&error);
            shared.lock().stopped = Some(reason.clone());
            shared.stopped.send_replace(Some(reason));
            return;
        }
        projection.apply(happened);
        durable.send_replace(true);
        spare = batch;
    }
}

/// The next batch to write, with those who wait for it; none when all is written and the sequencer closes.
fn next_batch(shared: &Shared, mut spare: Batch) -> Option<(Batch, Vec<Happened>, watch::Sender<bool>)> {
    let mut core = shared.lock();
    loop {
        if !core.batch.is_empty() || core.durable.receiver_count() > 0 {
            spare.restart_at(core.batch.next_sequence());
            let batch = std::mem::replace(&mut core.batch, spare);
            let happened = std::mem::take(&mut core.happened);
            let durable = std::mem::replace(&mut core.durable, watch::Sender::new(false));
            return Some((batch, happened, durable));
        }
        if core.closing {
            core.stopped = Some("it was closed".to_owned());
            return None;
        }
        let wait = until_due(&core.engine);
        let (woken, _) = shared.work.wait_timeout(core, wait).unwrap_or_else(|_| crash());
        core = woken;
        core.tick();
    }
}

fn until_due(engine: &Engine) -> Duration {
    const LONGEST: Duration = Duration::from_secs(1);
    match engine.next_due() {
        None => LONGEST,
        Some(due) => Duration::from_micros(due.micros_since(clock::now())).clamp(Duration::from_millis(1), LONGEST),
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
