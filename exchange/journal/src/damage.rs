//! The faults of a journal, and the difference between the end of an interrupted write and damage in the middle.
//!
//! Owns the words for both. It never decides which: [`walk`](crate::walk) does.

use std::fmt;

use crate::format::FORMAT_VERSION;

/// One place at which a journal stops making sense. Nothing after it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment's file name.
    pub file: String,
    /// The offset of the damaged batch or header, in bytes from the start of the file.
    pub position: u64,
    /// The number of bytes from there to the last one in the file that is not zero.
    pub bytes: u64,
    pub fault: Fault,
    pub extent: Extent,
}

/// The reach of a damage: the last write alone, or earlier, durable bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Nothing follows: the remains of the last write after a crash. Opening cuts it.
    Tail,
    /// More was written after it, so it was durable once and has changed since; or it is whole and does not belong
    /// there. Opening refuses.
    Middle,
}

/// The kind of a damage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the segment has no valid header")]
    SegmentHeader,
    #[error("the segment has format {found}, and this merit reads format {FORMAT_VERSION} alone")]
    OtherVersion { found: u32 },
    #[error("the segment is missing, and a later one is present")]
    SegmentMissing,
    #[error("the segment's header says that it is number {found}")]
    SegmentNumber { found: u32 },
    #[error("the segment belongs to another journal")]
    OtherJournal,
    #[error("sequence {expected} should come here, and sequence {found} does")]
    Sequence { expected: u64, found: u64 },
    #[error("a batch header fails its checksum")]
    BatchHeader,
    #[error("the batch of sequence {first_sequence} ends after the end of the file")]
    BatchCutShort { first_sequence: u64 },
    #[error("the batch of sequence {first_sequence} fails its checksum")]
    BatchPayload { first_sequence: u64 },
    #[error("the records of the batch of sequence {first_sequence} do not have the lengths it says")]
    RecordLengths { first_sequence: u64 },
    #[error("there are bytes after the end")]
    BytesAfterEnd,
}

impl Damage {
    /// Returns the predicate of a sentence about the journal.
    pub(crate) fn verdict(&self) -> &'static str {
        match self.fault {
            Fault::OtherVersion { .. } => "is not for this merit",
            _ => "is damaged",
        }
    }

    /// Names the remedy for the owner of the directory, as a sentence without its full stop.
    #[must_use]
    pub fn way_out(&self) -> &'static str {
        match (&self.fault, self.extent) {
            (_, Extent::Tail) => "the next start cuts it",
            (Fault::OtherVersion { found }, Extent::Middle) if *found < FORMAT_VERSION => {
                "it is from before the first release: move it away to begin with an empty one, or start the build that \
                 wrote it"
            }
            (Fault::OtherVersion { .. }, Extent::Middle) => "start the merit release that wrote it",
            (_, Extent::Middle) => {
                "restore the directory from a copy, or run `merit journal verify` on it to see what is readable"
            }
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, position, bytes, fault, .. } = self;
        write!(formatter, "{file}, byte {position}: {fault}")?;
        match self.extent {
            Extent::Tail => write!(formatter, " ({bytes} bytes, nothing follows them)"),
            Extent::Middle => Ok(()),
        }
    }
}
