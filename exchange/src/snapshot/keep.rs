//! What is kept: which snapshots, and from where on the journal.
//!
//! Owns the rule and carries it out. It never removes what a start could need.

use std::io;

use super::format::snapshot_name;
use super::read::{LoadError, list};
use super::write::{WriteError, failed};
use crate::journal::{self, SegmentStart, TrimError};
use crate::storage::Storage;

/// Segments through which past decisions can be explained at least. At 64 MiB each they hold some millions of
/// commands, and a start reads and checks them all in about a second.
pub(crate) const SEGMENTS_KEPT: usize = 8;

/// Why what is no longer needed could not be removed. It is tried again after the next snapshot.
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

/// What is no longer needed.
#[derive(Debug, PartialEq, Eq)]
struct Surplus {
    snapshots: Vec<u64>,
    /// The journal is needed from this sequence on.
    journal_before: u64,
}

/// Removes the snapshots and segments that are no longer needed, where projections need the journal above
/// `checkpoint`.
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

/// The rule. Kept are
/// - the newest two snapshots: one, and one to go back to should it be damaged;
/// - the base: the newest snapshot from which all of the last [`SEGMENTS_KEPT`] segments, everything above
///   `checkpoint`, and the older of those two can be reached by replay;
/// - in each segment after it the first snapshot, so that a replay to any command is short;
/// - the journal from the base on.
///
/// Without a base everything of the journal is kept.
fn surplus(snapshots: &[u64], segments: &[SegmentStart], checkpoint: u64) -> Surplus {
    let everything = Surplus { snapshots: Vec::new(), journal_before: 0 };
    let [.., older, _] = snapshots else { return everything };
    let Some(reach) = segments.get(segments.len().saturating_sub(SEGMENTS_KEPT)) else { return everything };
    let reachable = (*older).min(checkpoint).min(reach.first_sequence - 1);
    let base = snapshots.iter().rev().find(|sequence| **sequence <= reachable).copied();
    let from = base.unwrap_or(0);
    let segment = |sequence: u64| segments.partition_point(|segment| segment.first_sequence <= sequence);
    let mut kept_in = None;
    let surplus = |sequence: &u64| {
        if *sequence >= *older || *sequence == from {
            return false;
        }
        let first_here = kept_in.replace(segment(*sequence)) != Some(segment(*sequence));
        *sequence < from || !first_here
    };
    Surplus { snapshots: snapshots.iter().copied().filter(surplus).collect(), journal_before: base.map_or(0, |base| base + 1) }
}
