//! What is kept: which snapshots, and from where on the journal.
//!
//! Owns the rule and carries it out. It never removes what a start could need.

use std::io;

use super::format::snapshot_name;
use super::read::{LoadError, list};
use super::write::{WriteError, failed};
use merit_journal::storage::Storage;
use merit_journal::{self as journal, SegmentStart, TrimError};

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
mod tests {
    use super::*;

    /// Segments that begin at these sequences.
    fn segments(first: &[u64]) -> Vec<SegmentStart> {
        (1..).zip(first).map(|(number, first)| SegmentStart { number, first_sequence: *first, identity: 7 }).collect()
    }

    fn check(snapshots: &[u64], first: &[u64], checkpoint: u64, removed: &[u64], journal_before: u64) {
        let found = surplus(snapshots, &segments(first), checkpoint);
        assert_eq!(found, Surplus { snapshots: removed.to_vec(), journal_before });
    }

    const TEN: [u64; 10] = [1, 100, 200, 300, 400, 500, 600, 700, 800, 900];

    #[test]
    fn nothing_goes_before_there_are_two_snapshots() {
        check(&[], &TEN, u64::MAX, &[], 0);
        check(&[950], &TEN, u64::MAX, &[], 0);
    }

    #[test]
    fn nothing_goes_before_a_snapshot_reaches_back_far_enough() {
        check(&[250, 950], &TEN, u64::MAX, &[], 0);
        check(&[50, 60, 70, 80], &[1], u64::MAX, &[], 0);
    }

    #[test]
    fn the_journal_is_kept_from_the_newest_snapshot_before_the_last_eight_segments() {
        check(&[120, 950], &TEN, u64::MAX, &[], 121);
        check(&[120, 199, 950, 960], &TEN, u64::MAX, &[120], 200);
    }

    #[test]
    fn between_base_and_newest_two_the_first_in_each_segment_stays() {
        check(&[199, 210, 220, 350, 360, 399, 950, 960, 970], &TEN, u64::MAX, &[220, 360, 399], 200);
    }

    #[test]
    fn a_projection_that_is_behind_holds_a_snapshot_and_the_journal() {
        check(&[50, 120, 199, 950, 960], &TEN, 130, &[50, 199], 121);
        check(&[50, 120, 199, 950, 960], &TEN, 49, &[], 0);
    }

    #[test]
    fn the_older_of_the_newest_two_keeps_its_tail() {
        check(&[20, 40, 150], &TEN, u64::MAX, &[20], 41);
    }
}
