//! The judgement on a fault: the tail of an interrupted write, or damage in the middle.
//!
//! Owns the search for traces of a later write. It never says whether there is a fault: the walk does.

use std::io;

use crate::damage::{Damage, Extent, Fault};
use crate::format::{BATCH_HEADER_BYTES, BatchHeader, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES};
use crate::storage::StorageFile;
use crate::window::Window;

/// A fault before its extent is known.
pub(super) struct Suspicion {
    pub(super) fault: Fault,
    pub(super) position: u64,
    /// The end of the damaged batch, if its header can be trusted.
    pub(super) ends_at: Option<u64>,
}

/// The batch that should stand at a position: its journal and its first sequence.
#[derive(Clone, Copy)]
pub(super) struct BatchExpected {
    pub(super) identity: u32,
    pub(super) sequence: u64,
}

/// Judges a suspicion in a segment.
pub(super) fn judge<F: StorageFile>(
    window: &mut Window<F>,
    file: &str,
    expected: BatchExpected,
    is_last: bool,
    suspicion: Suspicion,
) -> io::Result<Damage> {
    let position = suspicion.position;
    let used = window.used_until(position)?;
    let more_was_written = match suspicion.ends_at {
        _ if !is_last => true,
        Some(ends_at) => used > ends_at,
        None => later_batch_exists(window, expected, position, used)?,
    };
    Ok(Damage {
        file: file.to_owned(),
        position,
        bytes: used - position,
        fault: suspicion.fault,
        extent: if more_was_written { Extent::Middle } else { Extent::Tail },
    })
}

/// Judges a segment without a valid header: a tail if it holds nothing else and can be made anew.
pub(super) fn judge_header<F: StorageFile>(
    window: &mut Window<F>,
    file: &str,
    can_be_remade: bool,
) -> io::Result<Damage> {
    let used = window.used_until(0)?;
    let holds_nothing = used <= SEGMENT_HEADER_BYTES as u64;
    Ok(Damage {
        file: file.to_owned(),
        position: 0,
        bytes: used,
        fault: Fault::SegmentHeader,
        extent: if holds_nothing && can_be_remade { Extent::Tail } else { Extent::Middle },
    })
}

/// Looks at every byte after `position` for the header of a batch that could stand there.
fn later_batch_exists<F: StorageFile>(
    window: &mut Window<F>,
    expected: BatchExpected,
    position: u64,
    used: u64,
) -> io::Result<bool> {
    for candidate in position + 1..used {
        let bytes = window.at(candidate, BATCH_HEADER_BYTES)?;
        let Some(header) = bytes.first_chunk() else {
            return Ok(false);
        };
        // The bytes between can have held at most this many records.
        let records = (candidate - position) / RECORD_HEADER_BYTES as u64;
        let claimed = BatchHeader::claimed_first_sequence(header);
        let plausible = (expected.sequence..=expected.sequence.saturating_add(records)).contains(&claimed);
        if plausible && BatchHeader::decode(header, expected.identity).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
