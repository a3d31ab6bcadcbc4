//! The state between submitting threads and the journal's thread, and the wait for durability.
//!
//! Owns the lock, the bounds on the batch being collected, and the rule of who is woken when. It never writes.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use merit_engine::Engine;
use tokio::sync::watch;

use super::intake::Intake;
use super::projection::Progress;
use crate::clock::Clock;

/// Buffer limit of commands that wait for the disk, 64 MiB: a stalled disk refuses commands instead of filling memory.
const WAITING_MAX_BYTES: usize = 64 << 20;

/// Collecting time of a batch without a waiting caller, 1 ms. A grant is settled soon, and goes with its settlement
/// then, in one sync.
const COLLECTS: Duration = Duration::from_millis(1);
/// Size in bytes at which a batch is written without collecting further, 1 MiB.
const COLLECTS_MAX_BYTES: usize = 1 << 20;

/// A command that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error("the exchange has stopped: {0}")]
    Stopped(String),
    #[error("the journal is {WAITING_MAX_BYTES} bytes behind; try again shortly")]
    Behind,
}

/// The wait for a batch to be durable. Costs nothing until a caller waits.
#[derive(Clone, Debug)]
pub struct Durable {
    shared: Arc<Shared>,
    /// The number of the batch.
    batch: u64,
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) intake: Intake,
    /// The number of the batch that is being collected.
    pub(super) open: u64,
    /// The callers that wait for it.
    pub(super) waiting: Waiting,
    /// The number of the last batch that is durable and was shown to the projections.
    pub(super) durable: u64,
    /// The callers that wait for the batch after it, while it is written.
    pub(super) writing: Waiting,
    /// The time at which the open batch began to collect.
    pub(super) begun: Instant,
    pub(super) writer: Writer,
    pub(super) stopped: Option<String>,
    pub(super) closing: bool,
    /// True once no caller waits for the disk any more.
    pub(super) relaxed: bool,
}

/// The activity of the journal's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// It writes, or looks soon.
    Busy,
    /// It sleeps until there is a batch to write.
    Sleeps,
    /// It lets a batch collect, and looks by itself when that is over.
    LetsCollect,
}

/// The callers that wait for a batch; none until the first waits.
pub(super) type Waiting = Option<watch::Sender<bool>>;

#[derive(Debug)]
pub(super) struct Shared {
    core: Mutex<Core>,
    pub(super) work: Condvar,
    pub(super) clock: Clock,
    pub(super) stopped: watch::Sender<Option<String>>,
    pub(super) progress: Arc<Progress>,
}

/// Decides on taking a command.
pub(super) type Check = fn(&Core) -> Result<(), SubmitError>;

impl Durable {
    pub(super) fn of(shared: &Arc<Shared>, batch: u64) -> Durable {
        Durable { shared: shared.clone(), batch }
    }

    /// Returns true if [`Durable::wait`] would return at once, with success.
    pub fn is_reached(&self) -> bool {
        self.shared.lock().is_reached(self.batch)
    }

    /// Waits until everything before it is durable and the projections have seen it. A relaxed sequencer does not wait,
    /// but still fails if it has stopped.
    pub async fn wait(self) -> Result<(), SubmitError> {
        let Some(mut durable) = self.shared.wait_for(self.batch)? else { return Ok(()) };
        let stopped = |_| SubmitError::Stopped("its journal failed".to_owned());
        durable.wait_for(|durable| *durable).await.map(drop).map_err(stopped)
    }
}

impl Shared {
    pub(super) fn new(engine: Engine, clock: Clock) -> Shared {
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
        Shared {
            core: Mutex::new(core),
            work: Condvar::new(),
            clock,
            stopped: watch::Sender::new(None),
            progress: Arc::default(),
        }
    }

    /// Locks the state. A panic inside `apply` is a bug after which no command may go on with this state: the process
    /// ends here, and the next one replays.
    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(|_| crash())
    }

    /// Returns the signal of a batch's durability; none if there is nothing to wait for.
    fn wait_for(&self, batch: u64) -> Result<Option<watch::Receiver<bool>>, SubmitError> {
        let mut core = self.lock();
        let waiting = core.wait_for(batch)?;
        self.wake_if_due(core);
        Ok(waiting)
    }

    /// Wakes the journal's thread if it would sleep for too long.
    pub(super) fn wake_if_due(&self, mut core: MutexGuard<'_, Core>) {
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

impl Core {
    /// Refuses a command that could not be written, or not soon.
    pub(super) fn check(&self) -> Result<(), SubmitError> {
        self.check_running()?;
        if self.intake.bytes() > WAITING_MAX_BYTES { Err(SubmitError::Behind) } else { Ok(()) }
    }

    /// Refuses a command that could not be written.
    pub(super) fn check_running(&self) -> Result<(), SubmitError> {
        self.stopped.as_ref().map_or(Ok(()), |reason| Err(SubmitError::Stopped(reason.clone())))
    }

    /// Returns the number of the batch after which everything applied so far is durable.
    pub(super) fn last_batch(&self) -> u64 {
        if self.intake.is_empty() { self.open - 1 } else { self.open }
    }

    /// Returns true if the open batch collects no longer.
    fn is_pressing(&self) -> bool {
        self.closing || self.waiting.is_some() || self.intake.bytes() > COLLECTS_MAX_BYTES
    }

    /// Returns the remaining collecting time of the open batch.
    pub(super) fn collects(&self) -> Duration {
        if self.is_pressing() { Duration::ZERO } else { COLLECTS.saturating_sub(self.begun.elapsed()) }
    }

    /// Returns true if no caller has to wait for this batch.
    fn is_reached(&self, batch: u64) -> bool {
        batch <= self.durable || self.relaxed && self.stopped.is_none()
    }

    /// Returns the signal of this batch's durability; none if there is nothing to wait for.
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

/// Ends the process: the failure is in the log, and a restart replays the journal.
pub(super) fn crash() -> ! {
    tracing::error!(
        "the engine or its journal failed in the middle of a command; the process ends, restart it to replay"
    );
    std::process::abort()
}
