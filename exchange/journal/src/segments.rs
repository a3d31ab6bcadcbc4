//! The segments of a journal: their numbers, their headers, and the sequence at which each begins.
//!
//! It reads directory entries and segment headers, never a batch.

use crate::format::{ReadHeader, SEGMENT_HEADER_BYTES, SegmentHeader, segment_name, segment_number};
use crate::report::ReadError;
use crate::storage::Storage;
use crate::window::Window;

/// The beginning of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentStart {
    pub number: u32,
    pub first_sequence: u64,
    /// The identity of its journal, a random number.
    pub identity: u32,
}

/// Lists the segments from the first one up to the last, or to the first without a valid header, in order.
pub fn segments<S: Storage>(storage: &S) -> Result<Vec<SegmentStart>, ReadError> {
    let mut segments = Vec::new();
    for number in numbers(storage)? {
        match header(storage, number)? {
            Some(SegmentHeader { identity, first_sequence, .. }) => {
                segments.push(SegmentStart { number, first_sequence, identity });
            }
            None => break,
        }
    }
    Ok(segments)
}

/// Lists the numbers of all segments, in order.
pub(crate) fn numbers<S: Storage>(storage: &S) -> Result<Vec<u32>, ReadError> {
    let names = storage.list().map_err(|source| ReadError::failed(storage, "the directory", source))?;
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads the header of a segment. Returns none if it has no valid one of this format version.
fn header<S: Storage>(storage: &S, number: u32) -> Result<Option<SegmentHeader>, ReadError> {
    let name = segment_name(number);
    let failed = |source| ReadError::failed(storage, &name, source);
    let mut window = Window::small(storage.open_to_read(&name).map_err(failed)?).map_err(failed)?;
    match SegmentHeader::decode(window.at(0, SEGMENT_HEADER_BYTES).map_err(failed)?) {
        ReadHeader::Known(header) => Ok(Some(header)),
        ReadHeader::OtherVersion(_) | ReadHeader::Damaged => Ok(None),
    }
}

/// Finds the last segment that begins at or below the record after `after`. Returns its index, or that of the first
/// segment if none is known to.
pub(crate) fn first_wanted<S: Storage>(storage: &S, numbers: &[u32], after: u64) -> Result<usize, ReadError> {
    if after == 0 {
        return Ok(0);
    }
    for (index, number) in numbers.iter().enumerate().rev() {
        if header(storage, *number)?.is_some_and(|header| header.first_sequence <= after.saturating_add(1)) {
            return Ok(index);
        }
    }
    Ok(0)
}
