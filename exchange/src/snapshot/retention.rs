//! The retention of snapshots and of the journal.
//!
//! Owns the rule and carries it out. It never removes a file that a start could need.

use std::io;

use super::format::snapshot_name;
use super::read::{LoadError, list};
use super::write::{WriteError, failed};
use merit_journal::storage::Storage;
use merit_journal::{self as journal, SegmentStart, TrimError};

/// Segments kept at least, to explain past decisions. At 64 MiB each they hold some millions of commands, and a start
/// reads and checks them all in about a second.
pub(crate) const SEGMENTS_KEPT: usize = 8;

/// A removal that failed. It is tried again after the next snapshot.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error(transparent)]
    Snapshots(#[from] LoadError),
    #[error(transparent)]
    Remove(#[from] WriteError),
    #[error(transparent)]
    Segments(#[from] journal::ReadError),
    #[error(transparent)]
    Trim(#[from] TrimError),
}

/// The files that are no longer needed.
#[derive(Debug, PartialEq, Eq)]
struct Surplus {
    snapshots: Vec<u64>,
    /// The first sequence that is needed of the journal.
    journal_before: u64,
}

/// Removes the snapshots and segments that are no longer needed. The projections need the journal above `checkpoint`.
pub fn keep<S: Storage>(storage: &S, checkpoint: u64) -> Result<(), KeepError> {
    let surplus = surplus(&list(storage)?, &journal::segments(storage)?, checkpoint);
    for sequence in surplus.snapshots {
        let name = snapshot_name(sequence);
        remove(storage, &name).map_err(failed("remove", &format!("{storage}/{name}")))?;
    }
    journal::trim(storage, surplus.journal_before)?;
    Ok(())
}

fn remove<S: Storage>(storage: &S, name: &str) -> io::Result<()> {
    storage.remove(name)?;
    storage.sync_names()
}

/// Applies the rule. Kept are
/// - the newest two snapshots: one, and one to fall back to if it is damaged;
/// - the base: the newest snapshot from which all of the last [`SEGMENTS_KEPT`] segments, everything above
///   `checkpoint`, and the older of those two can be reached by replay;
/// - in each segment after it the first snapshot, so that a replay to any command is short;
/// - the journal from the base on.
///
/// Without a base everything is kept.
fn surplus(snapshots: &[u64], segments: &[SegmentStart], checkpoint: u64) -> Surplus {
    let nothing = Surplus { snapshots: Vec::new(), journal_before: 0 };
    let [.., older, _] = snapshots else { return nothing };
    let Some(reach) = segments.get(segments.len().saturating_sub(SEGMENTS_KEPT)) else { return nothing };
    let reachable = (*older).min(checkpoint).min(reach.first_sequence.saturating_sub(1));
    let Some(base) = snapshots.iter().rev().find(|sequence| **sequence <= reachable) else { return nothing };

    let segment_of = |sequence: u64| segments.partition_point(|segment| segment.first_sequence <= sequence);
    let mut covered = segment_of(*base);
    let mut surplus = Vec::new();
    for sequence in snapshots.iter().copied() {
        let segment = segment_of(sequence);
        if sequence == *base || sequence >= *older || (sequence > *base && segment > covered) {
            covered = covered.max(segment);
        } else {
            surplus.push(sequence);
        }
    }
    Surplus { snapshots: surplus, journal_before: base + 1 }
}

#[cfg(test)]
#[path = "../../tests/unit/snapshot/retention.rs"]
mod tests;
