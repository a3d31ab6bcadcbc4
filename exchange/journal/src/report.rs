//! The result of reading a journal: its contents up to the end or the damage, and the failures of a reading.
//!
//! It never reads a byte: [`walk`](crate::walk) fills it.

use std::error::Error;
use std::io;

use crate::damage::Damage;
use crate::format::{BatchHeader, SEGMENT_HEADER_BYTES};
use crate::storage::Storage;

/// An error by which the reader of a record stops the reading.
pub type VisitError = Box<dyn Error + Send + Sync>;

/// The error by which a reader says that it has seen enough: the reading ends there, and succeeds.
#[derive(Debug, thiserror::Error)]
#[error("nothing more is to be read")]
pub struct Enough;

/// The valid part of a journal, up to its end or to its damage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    pub segments: u64,
    pub batches: u64,
    pub records: u64,
    /// None if there is no record.
    pub first_sequence: Option<u64>,
    pub last_sequence: Option<u64>,
    /// The first sequence of the last batch, the only one that may yet be cut, should it be damaged.
    pub last_batch: Option<u64>,
    /// Bytes of headers and batches, without the zeros that wait for more.
    pub bytes: u64,
    /// The contents of each segment, in order.
    pub by_segment: Vec<SegmentContents>,
}

/// The valid part of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentContents {
    pub file: String,
    /// The sequence of its first record, or of the one that is to come.
    pub first_sequence: u64,
    pub batches: u64,
    pub records: u64,
    pub bytes: u64,
}

/// The findings of [`read`](crate::read()) and [`verify`](crate::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The journal's identity, a random number; none before the first valid segment.
    pub identity: Option<u32>,
    pub contents: Contents,
    /// The place where the journal stopped making sense; nothing after it was read.
    pub damage: Option<Damage>,
    /// True while a process has the journal open. Damage of the tail may then be a batch that it was writing.
    pub in_use: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("could not read {what} of the journal in {place}")]
    Failed { place: String, what: String, source: io::Error },
    #[error("the journal's record {sequence} could not be used")]
    Visit { sequence: u64, source: VisitError },
}

impl Contents {
    pub(crate) fn add_segment(&mut self, segment: SegmentContents) {
        self.segments += 1;
        self.bytes += segment.bytes;
        self.by_segment.push(segment);
    }

    pub(crate) fn add_batch(&mut self, header: &BatchHeader, bytes: u64) {
        self.batches += 1;
        self.records += u64::from(header.records);
        self.bytes += bytes;
        self.first_sequence.get_or_insert(header.first_sequence);
        self.last_sequence = Some(header.last_sequence());
        self.last_batch = Some(header.first_sequence);
        if let Some(segment) = self.by_segment.last_mut() {
            segment.batches += 1;
            segment.records += u64::from(header.records);
            segment.bytes += bytes;
        }
    }
}

impl SegmentContents {
    pub(crate) fn empty(file: &str, first_sequence: u64) -> Self {
        let bytes = SEGMENT_HEADER_BYTES as u64;
        Self { file: file.to_owned(), first_sequence, batches: 0, records: 0, bytes }
    }
}

impl ReadError {
    pub(crate) fn failed<S: Storage>(storage: &S, what: &str, source: io::Error) -> Self {
        Self::Failed { place: storage.to_string(), what: what.to_owned(), source }
    }

    /// Returns true if a file is not there, or no longer.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Failed { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
