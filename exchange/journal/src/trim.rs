//! Removing segments from the front of a journal, once their records are no longer needed.
//!
//! Owns the order of removals. It never removes the last segment, which is being written, nor one after a segment that
//! stays; it never decides which records are needed.

use crate::format::segment_name;
use crate::report::ReadError;
use crate::segment::{WriteError, failed, path_of, sync_names};
use crate::segments::segments;
use crate::storage::Storage;

#[derive(Debug, thiserror::Error)]
pub enum TrimError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Removes the segments that hold no record at or above `needed`, also beside a process that writes. Returns how many.
///
/// Each removal is durable before the next, so that a crash leaves no gap.
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
