//! Removing segments from the front, when what they hold is no longer needed.
//!
//! Owns the order of removals. It never removes the last segment, which is being written, nor one after a segment that
//! stays; it never decides what is needed.

use super::format::{SegmentHeader, segment_name};
use super::read::ReadError;
use super::segment::{WriteError, failed, path_of, sync_names};
use super::walk::{segment_header, segment_numbers};
use crate::storage::Storage;

/// Where a segment begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentStart {
    pub number: u32,
    pub first_sequence: u64,
    /// The random number by which its journal is known.
    pub identity: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum TrimError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The segments from the first one up to the last, or to the first without a valid header, in order.
pub fn segments<S: Storage>(storage: &S) -> Result<Vec<SegmentStart>, ReadError> {
    let mut segments = Vec::new();
    for number in segment_numbers(storage)? {
        match segment_header(storage, number)? {
            Some(SegmentHeader { identity, first_sequence, .. }) => {
                segments.push(SegmentStart { number, first_sequence, identity });
            }
            None => break,
        }
    }
    Ok(segments)
}

/// Removes the segments that hold no record at or above `needed`, and says how many; beside who writes, if need be.
///
/// One after the other, each removal durable before the next, so that a crash leaves no gap.
pub fn trim<S: Storage>(storage: &S, needed: u64) -> Result<u64, TrimError> {
    let mut removed = 0;
    for pair in segments(storage)?.windows(2) {
        let [segment, next] = pair else { break };
        if next.first_sequence > needed {
            break;
        }
        let name = segment_name(segment.number);
        storage.remove(&name).map_err(failed("remove", &path_of(storage, &name)))?;
        sync_names(storage)?;
        removed += 1;
    }
    Ok(removed)
}
