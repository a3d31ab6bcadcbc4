//! The sequencer: gives every command its place, applies it, and makes it durable by group commit.
//!
//! One mutex guards the engine and the batch being collected; a thread of its own writes one batch while the next one
//! fills. What waits for durability waits for its batch; the matcher never does. A batch for which somebody waits is
//! written at once, one for which nobody does (grants, mostly) collects for a moment. Projections see a batch only once it is
//! durable. After a failed write or sync nothing is accepted any more: the process must end.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use merit_engine::{Applied, Command, Engine};
use merit_terms::Time;
use tokio::sync::watch;

use crate::clock;
use crate::intake::{Collected, Encoded, Happened, Intake};
use merit_journal::storage::Storage;
use merit_journal::{Batch, Journal};

/// What may wait for the disk: a bound, so that a stalled disk refuses commands instead of filling memory.
const WAITING_MAX_BYTES: usize = 64 << 20;

/// How long a batch for which nobody waits may collect. A grant is settled soon, and goes with its settlement then, in
/// one sync.
const COLLECTS: Duration = Duration::from_millis(1);
/// At so many bytes it is written, whoever waits.
const COLLECTS_MAX_BYTES: usize = 1 << 20;

thread_local! {
    /// Where a thread encodes what it submits.
    static ENCODED: RefCell<Encoded> = RefCell::default();
}

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
pub struct Submitted {
    pub applied: Applied,
    pub durable: Durable,
}

/// The wait for a batch to be durable. Costs nothing until somebody waits.
#[derive(Clone, Debug)]
pub struct Durable {
    shared: Arc<Shared>,
    /// The number of the batch.
    batch: u64,
}

impl Durable {
    /// Whether [`Durable::wait`] would return at once, and well.
    pub fn is_reached(&self) -> bool {
        self.shared.lock().is_reached(self.batch)
    }

    /// Returns once everything before it is durable and the projections have seen it; of a relaxed sequencer at once,
    /// unless it has stopped.
    pub async fn wait(self) -> Result<(), SubmitError> {
        let Some(mut durable) = self.shared.wait_for(self.batch)? else { return Ok(()) };
        let stopped = |_| SubmitError::Stopped("its journal failed".to_owned());
        durable.wait_for(|durable| *durable).await.map(drop).map_err(stopped)
    }
}

/// What follows the durable events, such as books, tape and records.
pub trait Projection: Send + Sync + 'static {
    /// Up to which sequence it has kept by itself, durably, all that it needs of the events; [`u64::MAX`] if it needs
    /// nothing of what lies before the state that it begins with.
    fn checkpoint(&self) -> u64;

    /// The state from which the events go on, before any of them. Those at or below the checkpoint may come once more.
    fn begin(&self, engine: &Engine);

    /// Durable events, in order, each command once, for it to look at or to take away. Called by the journal's thread.
    fn apply(&self, happened: &mut Vec<Happened>);
}

/// How far the journal is, for those who follow it beside the sequencer.
#[derive(Debug, Default)]
pub struct Progress {
    sequence: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// The last sequence before the last durable batch, and the bytes that this run wrote. What comes after may yet be
    /// cut, if that batch turns out to be damaged. 0 before the first batch.
    pub fn before_last_batch(&self) -> (u64, u64) {
        (self.sequence.load(Ordering::Acquire), self.bytes.load(Ordering::Relaxed))
    }

    fn durable(&self, batch: &Batch) {
        self.bytes.fetch_add(batch.bytes() as u64, Ordering::Relaxed);
        self.sequence.store(batch.first_sequence() - 1, Ordering::Release);
    }
}

#[derive(Debug)]
struct Core {
    intake: Intake,
    /// The number of the batch that is being collected.
    open: u64,
    /// Who waits for it.
    waiting: Waiting,
    /// The number of the last batch that is durable and was shown to the projections.
    durable: u64,
    /// Who waits for the batch after it, while it is written.
    writing: Waiting,
    /// Since when it collects.
    begun: Instant,
    writer: Writer,
    stopped: Option<String>,
    closing: bool,
    /// Whether nobody waits for the disk any more.
    relaxed: bool,
}

/// What the journal's thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// It writes, or looks soon.
    Busy,
    /// It sleeps until there is something to write.
    Sleeps,
    /// It lets a batch collect, and looks by itself when that is over.
    LetsCollect,
}

/// Those who wait for a batch; none until somebody does.
type Waiting = Option<watch::Sender<bool>>;

#[derive(Debug)]
struct Shared {
    core: Mutex<Core>,
    work: Condvar,
    stopped: watch::Sender<Option<String>>,
    progress: Arc<Progress>,
}

/// Whether a command is taken.
type Check = fn(&Core) -> Result<(), SubmitError>;

/// The engine, for as long as several commands take.
pub struct Turn<'a> {
    core: &'a mut Core,
    now: Time,
}

/// The engine behind its journal. Dropping it writes what waits and releases the directory.
pub struct Sequencer {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Sequencer {
    /// Goes on after `journal` with the engine that its replay gave.
    pub fn start<S: Storage + 'static>(
        engine: Engine,
        journal: Journal<S>,
        projection: Arc<impl Projection>,
    ) -> std::io::Result<Sequencer>
    where
        Journal<S>: Send,
    {
        let core = Core {
            intake: Intake::new(engine),
            open: 1,
            waiting: None,
            durable: 0,
            writing: None,
            begun: Instant::now(),
            writer: Writer::Busy,
            stopped: None,
            closing: false,
            relaxed: false,
        };
        let shared = Arc::new(Shared {
            core: Mutex::new(core),
            work: Condvar::new(),
            stopped: watch::Sender::new(None),
            progress: Arc::default(),
        });
        let writer = {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name("journal".to_owned())
                .spawn(move || write_batches(&shared, journal, &*projection))?
        };
        Ok(Sequencer { shared, writer: Mutex::new(Some(writer)) })
    }

    /// How far the journal is.
    pub fn progress(&self) -> Arc<Progress> {
        self.shared.progress.clone()
    }

    /// From now on nobody waits for durability: what is applied counts as done while its batch is yet to be written, and
    /// a crash may lose it. All is written and synced as before.
    pub fn relax(&self) {
        self.shared.lock().relaxed = true;
    }

    /// Applies a command now. Its reply is final; whether it is durable is for the caller to wait for.
    pub fn submit(&self, command: &Command) -> Result<Submitted, SubmitError> {
        self.submit_if(Core::check, command)
    }

    /// The same for a command that ends a session, also while the journal is behind: nobody is left to ask again, and what
    /// is gone would stay in the market. There is at most one for each session, whose beginning was not exempt.
    pub fn submit_ending(&self, command: &Command) -> Result<Submitted, SubmitError> {
        self.submit_if(Core::check_running, command)
    }

    fn submit_if(&self, check: Check, command: &Command) -> Result<Submitted, SubmitError> {
        let (applied, durable) = ENCODED.with_borrow_mut(|encoded| {
            encoded.encode(command);
            self.take_turn_if(check, |turn| turn.core.intake.submit_encoded(turn.now, command, encoded))
        })?;
        Ok(Submitted { applied, durable })
    }

    /// Applies several commands in a row, with the engine to itself. Their replies are final; the wait is for all of them.
    pub fn take_turn<T>(&self, work: impl FnOnce(&mut Turn<'_>) -> T) -> Result<(T, Durable), SubmitError> {
        self.take_turn_if(Core::check, work)
    }

    fn take_turn_if<T>(
        &self,
        check: Check,
        work: impl FnOnce(&mut Turn<'_>) -> T,
    ) -> Result<(T, Durable), SubmitError> {
        let now = clock::now();
        let mut core = self.shared.lock();
        check(&core)?;
        let was_empty = core.intake.is_empty();
        let done = work(&mut Turn { core: &mut core, now });
        if was_empty {
            core.begun = Instant::now();
        }
        let durable = Durable { shared: self.shared.clone(), batch: core.last_batch() };
        self.shared.wake_if_due(core);
        Ok((done, durable))
    }

    /// Looks at the engine; also at what is not durable yet.
    pub fn read<T>(&self, look: impl FnOnce(&Engine) -> T) -> T {
        look(self.shared.lock().intake.engine())
    }

    /// Looks at the engine; the wait is for the durability of what was seen.
    pub fn look<T>(&self, look: impl FnOnce(&Engine) -> T) -> (T, Durable) {
        let core = self.shared.lock();
        let durable = Durable { shared: self.shared.clone(), batch: core.last_batch() };
        (look(core.intake.engine()), durable)
    }

    /// Looks at the engine and returns what was seen once it is durable.
    pub async fn read_durable<T>(&self, look: impl FnOnce(&Engine) -> T) -> Result<T, SubmitError> {
        let (seen, durable) = self.look(look);
        durable.wait().await?;
        Ok(seen)
    }

    /// Returns the reason once the journal has failed; the process must end then.
    pub async fn stopped(&self) -> String {
        let mut stopped = self.shared.stopped.subscribe();
        match stopped.wait_for(Option::is_some).await.map(|reason| reason.clone()) {
            Ok(Some(reason)) => reason,
            _ => "the journal's thread ended".to_owned(),
        }
    }

    /// Writes what waits, then releases the directory.
    pub fn close(&self) {
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

    /// What says when a batch is durable; none if nobody has to wait.
    fn wait_for(&self, batch: u64) -> Result<Option<watch::Receiver<bool>>, SubmitError> {
        let mut core = self.lock();
        let waiting = core.wait_for(batch)?;
        self.wake_if_due(core);
        Ok(waiting)
    }

    /// Wakes the journal's thread if it would sleep for too long.
    fn wake_if_due(&self, mut core: MutexGuard<'_, Core>) {
        let is_due = match core.writer {
            Writer::Busy => false,
            Writer::Sleeps => !core.intake.is_empty(),
            Writer::LetsCollect => core.is_pressing(),
        };
        if is_due {
            core.writer = Writer::Busy;
            drop(core);
            self.work.notify_one();
        }
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

impl Turn<'_> {
    pub fn engine(&self) -> &Engine {
        self.core.intake.engine()
    }

    pub fn apply(&mut self, command: &Command) -> Applied {
        self.core.intake.submit(self.now, command)
    }
}

impl Core {
    /// Refuses what can no longer be written, or not soon.
    fn check(&self) -> Result<(), SubmitError> {
        self.check_running()?;
        if self.intake.bytes() > WAITING_MAX_BYTES { Err(SubmitError::Behind) } else { Ok(()) }
    }

    /// Refuses what can no longer be written.
    fn check_running(&self) -> Result<(), SubmitError> {
        self.stopped.as_ref().map_or(Ok(()), |reason| Err(SubmitError::Stopped(reason.clone())))
    }

    /// The batch after which everything applied so far is durable.
    fn last_batch(&self) -> u64 {
        if self.intake.is_empty() { self.open - 1 } else { self.open }
    }

    /// Whether the open batch collects no longer.
    fn is_pressing(&self) -> bool {
        self.closing || self.waiting.is_some() || self.intake.bytes() > COLLECTS_MAX_BYTES
    }

    /// How long the open batch may collect yet.
    fn collects(&self) -> Duration {
        if self.is_pressing() { Duration::ZERO } else { COLLECTS.saturating_sub(self.begun.elapsed()) }
    }

    /// Whether nobody has to wait for this batch.
    fn is_reached(&self, batch: u64) -> bool {
        batch <= self.durable || self.relaxed && self.stopped.is_none()
    }

    /// What says when this batch is durable; none if nobody has to wait.
    fn wait_for(&mut self, batch: u64) -> Result<Option<watch::Receiver<bool>>, SubmitError> {
        if self.is_reached(batch) {
            return Ok(None);
        }
        if let Some(reason) = &self.stopped {
            return Err(SubmitError::Stopped(reason.clone()));
        }
        let waiting = if batch == self.open { &mut self.waiting } else { &mut self.writing };
        Ok(Some(waiting.get_or_insert_with(|| watch::Sender::new(false)).subscribe()))
    }
}

fn write_batches<S: Storage>(shared: &Shared, mut journal: Journal<S>, projection: &impl Projection) {
    let _crash = CrashOnPanic;
    let mut collected = Collected::empty();
    while next_batch(shared, &mut collected) {
        if let Err(error) = journal.append(&mut collected.batch) {
            stop(shared, chain(&error));
            return;
        }
        shared.progress.durable(&collected.batch);
        projection.apply(&mut collected.happened);
        let waiting = {
            let mut core = shared.lock();
            core.durable += 1;
            core.writing.take()
        };
        if let Some(waiting) = waiting {
            waiting.send_replace(true);
        }
        collected.happened.clear();
    }
}

/// Waits for the next batch to write; false when all is written and the sequencer closes.
fn next_batch(shared: &Shared, collected: &mut Collected) -> bool {
    let mut core = shared.lock();
    // What comes soon after a batch collects without waking anybody.
    let mut asleep = Writer::LetsCollect;
    loop {
        let was_empty = core.intake.is_empty();
        if !core.closing {
            core.intake.tick(clock::now());
        }
        if was_empty {
            core.begun = Instant::now();
        }
        let collects = core.collects();
        if !core.intake.is_empty() && collects.is_zero() {
            core.intake.take(collected);
            core.open += 1;
            core.writing = core.waiting.take();
            return true;
        }
        if core.intake.is_empty() && core.closing {
            core.stopped = Some("it was closed".to_owned());
            return false;
        }
        if !core.intake.is_empty() {
            asleep = Writer::LetsCollect;
        }
        let wait = match asleep {
            Writer::LetsCollect => collects,
            Writer::Busy | Writer::Sleeps => until_due(core.intake.engine()),
        };
        core.writer = asleep;
        let (woken, _) = shared.work.wait_timeout(core, wait).unwrap_or_else(|_| crash());
        core = woken;
        core.writer = Writer::Busy;
        asleep = Writer::Sleeps;
    }
}

/// After this nothing is accepted, and whoever waits is told.
fn stop(shared: &Shared, reason: String) {
    {
        let mut core = shared.lock();
        core.stopped = Some(reason.clone());
        (core.writing, core.waiting) = (None, None);
    }
    shared.stopped.send_replace(Some(reason));
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

#[cfg(test)]
mod tests;
