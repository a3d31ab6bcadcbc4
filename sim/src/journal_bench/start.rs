//! The time of a start on the directory that the loads left: as it is, and with a snapshot of all of it. Never starts
//! the projections.

use std::path::Path;
use std::time::Instant;

use merit_exchange::snapshot;
use merit_exchange::{Restored, restore};
use merit_journal::storage::Directory;
use serde::Serialize;

use super::{Counted, JournalBenchError};

/// The time until a process could go on, without its projections.
#[derive(Clone, Debug, Serialize)]
pub struct Starts {
    /// Commands that the first start replayed.
    pub replayed: u64,
    pub replay_seconds: f64,
    /// Seconds of a start from a snapshot of the last sequence.
    pub snapshot_seconds: f64,
}

pub(super) fn measure(path: &Path) -> Result<Starts, JournalBenchError> {
    let storage = Directory::existing(path);
    let (replay_seconds, restored) = start(&storage)?;
    let (last, identity) = (restored.engine.sequence(), restored.journal.identity());
    let replayed = last - restored.replayed_after;
    drop(restored);
    snapshot::make(&storage, identity, last, || false)?;
    let (snapshot_seconds, _) = start(&storage)?;
    Ok(Starts { replayed, replay_seconds, snapshot_seconds })
}

fn start(storage: &Directory) -> Result<(f64, Restored<Directory>), JournalBenchError> {
    let started = Instant::now();
    let restored = restore(storage.clone(), merit_journal::Settings::default(), &Counted::default())?;
    Ok((started.elapsed().as_secs_f64(), restored))
}
