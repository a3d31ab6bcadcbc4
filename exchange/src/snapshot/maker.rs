//! The thread that makes snapshots: when, and with what care for the market beside it.
//!
//! Owns the thread and its end. A failure is logged and tried again later; the market never waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::format::Header;
use super::keep::keep;
use super::make::{MakeError, make};
use crate::sequencer::{Progress, chain};
use merit_journal::storage::Storage;

/// How much journal there is at least between two snapshots: some thousand commands, whose replay takes milliseconds.
const BYTES_MIN: u64 = 1 << 20;
/// How many times as long as a snapshot the journal since it is at least. So writing snapshots adds at most a fourth to
/// what is written, and the replay at a start is bounded by the size of the state.
const BYTES_PER_SNAPSHOT_BYTE: u64 = 4;
/// How often the thread looks; also the least time between two snapshots.
const PERIOD: Duration = Duration::from_secs(1);
/// How many periods it waits after a failure: a full disk is not made emptier by trying.
const PERIODS_AFTER_FAILURE: u32 = 60;
/// How much the thread yields to the market's when there are more than cores: this of 19.
const NICENESS: i32 = 10;

/// Where the making of snapshots stands when a run begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Made {
    /// How long the snapshot is from which the run began.
    pub snapshot_bytes: u64,
    /// How long the journal is that was replayed since.
    pub replayed_bytes: u64,
}

/// Makes snapshots until it is stopped.
pub struct Maker {
    stop: Arc<Stop>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Stop {
    now: AtomicBool,
    mutex: Mutex<()>,
    wake: Condvar,
}

impl Stop {
    fn is_now(&self) -> bool {
        self.now.load(Ordering::Relaxed)
    }

    /// Waits for a period; whether it is to stop.
    fn wait(&self, period: Duration) -> bool {
        let guard = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_now() {
            return true;
        }
        drop(self.wake.wait_timeout(guard, period).unwrap_or_else(PoisonError::into_inner));
        self.is_now()
    }
}

impl Maker {
    /// Follows the journal with this identity. `checkpoint` says up to which sequence the projections need no journal.
    pub fn start<S: Storage + 'static>(
        storage: S,
        identity: u32,
        progress: Arc<Progress>,
        checkpoint: impl Fn() -> u64 + Send + 'static,
        made: Made,
    ) -> std::io::Result<Maker> {
        let stop = Arc::new(Stop::default());
        let thread = {
            let stop = stop.clone();
            std::thread::Builder::new()
                .name("snapshots".to_owned())
                .spawn(move || follow(&storage, identity, &progress, &checkpoint, made, &stop))?
        };
        Ok(Maker { stop, thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread, in the middle of a snapshot if need be, and waits for its end.
    pub fn stop(&self) {
        {
            let _guard = self.stop.mutex.lock().unwrap_or_else(PoisonError::into_inner);
            self.stop.now.store(true, Ordering::Relaxed);
        }
        self.stop.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(_)) = thread.map(JoinHandle::join) {
            tracing::error!("the thread that makes snapshots panicked");
        }
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.stop();
    }
}

fn follow<S: Storage>(
    storage: &S,
    identity: u32,
    progress: &Progress,
    checkpoint: &impl Fn() -> u64,
    made: Made,
    stop: &Stop,
) {
    // Only this thread's priority.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!("the thread that makes snapshots competes as any other: {error}");
    }
    let mut snapshot_bytes = made.snapshot_bytes;
    // Of the bytes that this run wrote, and those that it replayed, how many a snapshot covers.
    let mut covered_bytes = 0;
    let mut period = PERIOD;
    while !stop.wait(period) {
        let (sequence, written_bytes) = progress.before_last_batch();
        let bytes = made.replayed_bytes + written_bytes;
        let due = BYTES_MIN.max(snapshot_bytes.saturating_mul(BYTES_PER_SNAPSHOT_BYTE));
        if sequence == 0 || bytes - covered_bytes < due {
            continue;
        }
        match make_and_keep(storage, identity, sequence, checkpoint, stop) {
            Ok(header) => {
                snapshot_bytes = header.map_or(snapshot_bytes, |header| header.body_bytes);
                covered_bytes = bytes;
                period = PERIOD;
            }
            Err(MakeError::Stopped) => return,
            Err(error) => {
                tracing::error!("no snapshot of sequence {sequence} could be made: {}", chain(&error));
                period = PERIOD * PERIODS_AFTER_FAILURE;
            }
        }
    }
}

fn make_and_keep<S: Storage>(
    storage: &S,
    identity: u32,
    sequence: u64,
    checkpoint: &impl Fn() -> u64,
    stop: &Stop,
) -> Result<Option<Header>, MakeError> {
    let header = make(storage, identity, sequence, || stop.is_now())?;
    if let Some(header) = header {
        tracing::info!(sequence, bytes = header.body_bytes, "a snapshot was made");
    }
    if let Err(error) = keep(storage, checkpoint()) {
        tracing::error!("what is no longer needed of the journal could not be removed: {}", chain(&error));
    }
    Ok(header)
}
