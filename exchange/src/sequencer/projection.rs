//! Followers of the durable events: the interface of a projection, and the progress of the journal.
//!
//! A projection never decides anything: the journal's thread calls it, and waits for it.

use std::sync::atomic::{AtomicU64, Ordering};

use merit_engine::Engine;
use merit_journal::Batch;

use super::intake::Happened;

/// A follower of the durable events, such as books, tape and records.
pub trait Projection: Send + Sync + 'static {
    /// Returns the sequence up to which it has kept, durably, all that it needs of the events; [`u64::MAX`] if it needs
    /// no event before the state that it begins with.
    fn checkpoint(&self) -> u64;

    /// Begins with a state, before any event after it. Events at or below the checkpoint may come once more.
    fn begin(&self, engine: &Engine);

    /// Takes durable events, in order, each command once, to look at or to take away. Called by the journal's thread.
    fn apply(&self, happened: &mut Vec<Happened>);
}

/// The progress of the journal, for threads that follow it beside the sequencer.
#[derive(Debug, Default)]
pub struct Progress {
    sequence: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Returns the last sequence before the last durable batch, and the bytes that this run wrote. Later records may
    /// yet be cut, if that batch turns out to be damaged. 0 before the first batch.
    pub fn before_last_batch(&self) -> (u64, u64) {
        (self.sequence.load(Ordering::Acquire), self.bytes.load(Ordering::Relaxed))
    }

    pub(super) fn durable(&self, batch: &Batch) {
        self.bytes.fetch_add(batch.bytes() as u64, Ordering::Relaxed);
        self.sequence.store(batch.first_sequence() - 1, Ordering::Release);
    }
}
