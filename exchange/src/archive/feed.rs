//! The feed between the journal's thread, the archive's thread, and its readers.
//!
//! A bounded queue of durable commands that never makes the journal wait: when it is full the oldest go. The keeper
//! reads missing commands from the journal.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redb::Database;
use tokio::sync::watch;

use crate::sequencer::Happened;

/// Queue length in commands: some 60 MB.
pub(super) const QUEUE_MAX: usize = 1 << 16;
/// Queue length in commands at which the keeper is woken, so that it works in long strides under load.
const STRIDE: usize = 1 << 13;
/// Queue limit of functions' logs in bytes, 32 MiB; further ones are dropped.
const LOGS_MAX_BYTES: usize = 32 << 20;
/// Timeout of a query that waits for the archive to catch up with the market, 5 s.
const PATIENCE: Duration = Duration::from_secs(5);

/// An archive that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("the archive is at sequence {at} of {of}, and catching up with the journal; ask again shortly")]
    Behind { at: u64, of: u64 },
    #[error("the archive is not kept since it failed; a restart makes it whole again: {0}")]
    Failed(String),
    #[error("the archive could not be read")]
    Read(#[from] Box<redb::Error>),
}

pub(super) struct Feed {
    queue: Mutex<Queue>,
    work: Condvar,
    shown: watch::Sender<Shown>,
    durable: AtomicU64,
    capacity: usize,
}

#[derive(Default)]
struct Queue {
    happened: VecDeque<Happened>,
    /// Bytes of the logs in the queue.
    log_bytes: usize,
    /// The sequence of the last durable command.
    received: u64,
    /// A reader waits.
    asked: bool,
    closing: bool,
    /// The keeper has ended.
    over: bool,
}

/// The readable state of the archive.
#[derive(Clone, Default)]
struct Shown {
    sequence: u64,
    /// None before it is open and after its end.
    database: Option<Arc<Database>>,
    failed: Option<String>,
}

/// The next work of the keeper.
#[derive(Default)]
pub(super) struct Work {
    /// Durable commands, in order, without a gap among them.
    pub(super) happened: VecDeque<Happened>,
    /// A reader waits.
    pub(super) asked: bool,
    pub(super) closing: bool,
}

impl Feed {
    pub(super) fn new(capacity: usize) -> Feed {
        Feed {
            queue: Mutex::default(),
            work: Condvar::new(),
            shown: watch::Sender::default(),
            durable: AtomicU64::new(0),
            capacity,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes durable commands; never waits for the keeper.
    pub(super) fn take(&self, happened: impl IntoIterator<Item = Happened>) {
        let mut queue = self.lock();
        let before = queue.happened.len();
        for mut one in happened {
            queue.received = one.sequence;
            if queue.log_bytes + one.log_bytes() > LOGS_MAX_BYTES {
                one.log = None;
            }
            if !queue.over {
                queue.log_bytes += one.log_bytes();
                queue.happened.push_back(one);
            }
        }
        while queue.happened.len() > self.capacity {
            let dropped = queue.happened.pop_front();
            queue.log_bytes -= dropped.map_or(0, |one| one.log_bytes());
        }
        if before < STRIDE && queue.happened.len() >= STRIDE {
            self.work.notify_one();
        }
    }

    /// Waits until a reader asks, much is queued, or `until` has come. Returns everything queued.
    pub(super) fn next(&self, until: Instant) -> Work {
        let mut queue = self.lock();
        while !queue.asked && !queue.closing && queue.happened.len() < STRIDE {
            let wait = until.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                break;
            }
            (queue, _) = self.work.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner);
        }
        let asked = std::mem::take(&mut queue.asked);
        queue.log_bytes = 0;
        Work { happened: std::mem::take(&mut queue.happened), asked, closing: queue.closing }
    }

    /// Asks the keeper to write everything queued and to end.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
    }

    /// Shows `database` to readers, as far as `sequence`.
    pub(super) fn show(&self, sequence: u64, database: &Arc<Database>) {
        self.shown.send_modify(|shown| {
            (shown.sequence, shown.database) = (sequence, Some(database.clone()));
        });
    }

    /// Ends the feed, with a reason after a failure. Later commands are dropped.
    pub(super) fn end(&self, failed: Option<String>) {
        let mut queue = self.lock();
        queue.over = true;
        queue.happened = VecDeque::new();
        drop(queue);
        let failed = failed.or_else(|| Some("it was closed".to_owned()));
        self.shown.send_replace(Shown { failed, ..Shown::default() });
    }

    /// Returns the sequence up to which everything survives a crash.
    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn set_durable(&self, sequence: u64) {
        self.durable.store(sequence, Ordering::Release);
    }

    /// Waits until the database holds everything that was durable at the time of the call, within a timeout. Returns
    /// it.
    pub(super) async fn caught_up(&self) -> Result<Arc<Database>, ArchiveError> {
        let of = {
            let mut queue = self.lock();
            if self.shown.borrow().sequence < queue.received {
                queue.asked = true;
                self.work.notify_one();
            }
            queue.received
        };
        let mut shown = self.shown.subscribe();
        let ready = |shown: &Shown| shown.failed.is_some() || (shown.database.is_some() && shown.sequence >= of);
        // The sender is in `self`: only time can run out.
        let seen = match tokio::time::timeout(PATIENCE, shown.wait_for(ready)).await {
            Ok(Ok(seen)) => seen.clone(),
            _ => return Err(ArchiveError::Behind { at: self.shown.borrow().sequence, of }),
        };
        match seen {
            Shown { failed: Some(reason), .. } => Err(ArchiveError::Failed(reason)),
            Shown { database: Some(database), .. } => Ok(database),
            Shown { sequence: at, .. } => Err(ArchiveError::Behind { at, of }),
        }
    }
}
