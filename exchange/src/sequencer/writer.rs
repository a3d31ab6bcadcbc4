//! The journal's thread: takes batches as they are due, makes them durable, and shows them to the projections.
//!
//! Owns the group commit. It never applies a command but the tick of due work.

use std::time::{Duration, Instant};

use merit_engine::Engine;
use merit_journal::Journal;
use merit_journal::storage::Storage;
use merit_terms::Time;

use super::intake::Collected;
use super::projection::Projection;
use super::shared::{Shared, Writer, crash};
use crate::error_chain::chain;

/// Pause after an attempt to reserve the next segment failed.
const RESERVE_AGAIN: Duration = Duration::from_secs(1);

/// Ends the process if the journal's thread panics: without it nothing would ever be durable again.
struct CrashOnPanic;

impl Drop for CrashOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crash();
        }
    }
}

/// Writes batches until the sequencer closes or a write fails.
pub(super) fn write_batches<S: Storage>(shared: &Shared, mut journal: Journal<S>, projection: &impl Projection) {
    let _crash = CrashOnPanic;
    let mut collected = Collected::empty();
    let mut reserve = Reserve::default();
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
        reserve.fill(&mut journal);
    }
}

/// The reserve of the journal: its next segment, made ahead.
#[derive(Default)]
struct Reserve {
    /// The last attempt that failed.
    failed: Option<Instant>,
}

impl Reserve {
    /// Makes the next segment ahead. After a failure it tries again a second later at the earliest.
    fn fill<S: Storage>(&mut self, journal: &mut Journal<S>) {
        if journal.has_spare() || self.failed.is_some_and(|at| at.elapsed() < RESERVE_AGAIN) {
            return;
        }
        match journal.reserve() {
            Ok(()) => {
                if self.failed.take().is_some() {
                    tracing::info!("the journal's next segment is reserved again");
                }
            }
            Err(error) => {
                if self.failed.replace(Instant::now()).is_none() {
                    let is_full = error.source.kind() == std::io::ErrorKind::StorageFull;
                    let advice = if is_full { "make room on its disk" } else { "trying again" };
                    tracing::warn!(error = chain(&error), advice, "the journal's next segment cannot be reserved");
                }
            }
        }
    }
}

/// Waits for the next batch to write. Returns false when all is written and the sequencer closes.
fn next_batch(shared: &Shared, collected: &mut Collected) -> bool {
    let mut core = shared.lock();
    // Commands soon after a batch collect without waking anybody.
    let mut asleep = Writer::LetsCollect;
    loop {
        let was_empty = core.intake.is_empty();
        if !core.closing {
            core.intake.tick(shared.clock.now());
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
            Writer::Busy | Writer::Sleeps => until_due(core.intake.engine(), shared.clock.now()),
        };
        core.writer = asleep;
        let (woken, _) = shared.work.wait_timeout(core, wait).unwrap_or_else(|_| crash());
        core = woken;
        core.writer = Writer::Busy;
        asleep = Writer::Sleeps;
    }
}

/// Refuses all commands from now on, and tells every waiting caller.
pub(super) fn stop(shared: &Shared, reason: String) {
    {
        let mut core = shared.lock();
        core.stopped = Some(reason.clone());
        (core.writing, core.waiting) = (None, None);
    }
    shared.stopped.send_replace(Some(reason));
}

fn until_due(engine: &Engine, now: Time) -> Duration {
    const LONGEST: Duration = Duration::from_secs(1);
    match engine.next_due() {
        None => LONGEST,
        Some(due) => Duration::from_micros(due.micros_since(now)).clamp(Duration::from_millis(1), LONGEST),
    }
}
