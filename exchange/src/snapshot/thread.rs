//! The thread that makes snapshots, at a low priority beside the market.
//!
//! Owns the thread and its end. A failure is logged and tried again later; the market never waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use merit_priority::Priority;

use super::format::Header;
use super::make::{MakeError, make};
use super::retention::keep;
use crate::error_chain::chain;
use crate::sequencer::Progress;
use merit_journal::storage::Storage;

/// Least journal between two snapshots in bytes, 1 MiB: some thousand commands, whose replay takes milliseconds.
const BYTES_MIN: u64 = 1 << 20;
/// Least ratio of the journal after a snapshot to the snapshot's size. So snapshots add at most a fourth to the bytes
/// written, and the replay at a start is bounded by the size of the state.
const BYTES_PER_SNAPSHOT_BYTE: u64 = 4;
/// Polling interval of the thread, 1 s; also the least time between two snapshots.
const PERIOD: Duration = Duration::from_secs(1);
/// Back-off after a failure in periods: attempts do not empty a full disk.
const PERIODS_AFTER_FAILURE: u32 = 60;

/// The state of snapshots at the beginning of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Made {
    /// Size in bytes of the snapshot from which the run began.
    pub snapshot_bytes: u64,
    /// Size in bytes of the journal that was replayed after it.
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

    /// Waits for a period. Returns true if the thread is to stop.
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
    /// Follows the journal with this identity. `checkpoint` returns the sequence up to which the projections need no
    /// journal.
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

    /// Stops the thread, in the middle of a snapshot if need be, and waits for its end.
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
    if let Err(error) = merit_priority::set(Priority::Background) {
        tracing::debug!("the thread that makes snapshots competes as any other: {error}");
    }
    let mut snapshot_bytes = made.snapshot_bytes;
    // The bytes that a snapshot covers, of those that this run replayed and wrote.
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
