//! Reading a journal without opening it: verification, and the records for replay tools.
//!
//! Owns the report. It takes no lock and changes nothing, so it also works on a copy, on read-only
//! media, and beside a running process, whose batch being written may then look like a torn tail.

use std::error::Error;
use std::io;

use super::damage::Damage;
use super::format::BatchHeader;
use super::format::SEGMENT_HEADER_BYTES;
use super::walk::{Span, Walk, walk};
use crate::storage::Storage;

/// What the reader of a record may answer to stop the reading.
pub type VisitError = Box<dyn Error + Send + Sync>;

/// What the reader of a record answers, as an error, once it has seen enough: the reading ends there, and not with one.
#[derive(Debug, thiserror::Error)]
#[error("nothing more is to be read")]
pub struct Enough;

/// What is valid in a journal, up to its end or to its damage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    pub segments: u64,
    pub batches: u64,
    pub records: u64,
    /// None if there is no record.
    pub first_sequence: Option<u64>,
    pub last_sequence: Option<u64>,
    /// The first sequence of the last batch: what may yet be cut, should that be damaged.
    pub last_batch: Option<u64>,
    /// Headers and batches, without the zeros that wait for more.
    pub bytes: u64,
    /// The same, one by one.
    pub by_segment: Vec<SegmentContents>,
}

/// What is valid in one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentContents {
    pub file: String,
    /// The sequence of its first record, or of the one that is to come.
    pub first_sequence: u64,
    pub batches: u64,
    pub records: u64,
    pub bytes: u64,
}

/// What [`read`] and [`verify`] find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The random number by which the journal is known; none before the first valid segment.
    pub identity: Option<u32>,
    pub contents: Contents,
    /// Where the journal stopped making sense; nothing after it was read.
    pub damage: Option<Damage>,
    /// Whether a process has the journal open. Damage of the tail may then be a batch that it was
    /// writing.
    pub in_use: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("could not read {what} of the journal in {place}")]
    Failed { place: String, what: String, source: io::Error },
    #[error("the journal's record {sequence} could not be used")]
    Visit { sequence: u64, source: VisitError },
}

/// Checks every byte of a journal.
pub fn verify<S: Storage>(storage: &S) -> Result<Report, ReadError> {
    read(storage, |_, _| Ok(()))
}

/// Gives every record with its sequence to `visit`, in order, and checks every byte on the way.
///
/// Damage is no error here: the records before it have been given, and the report names it.
pub fn read<S: Storage>(
    storage: &S,
    visit: impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
) -> Result<Report, ReadError> {
    report(storage, walk(storage, Span::ALL, visit)?)
}

/// Gives the records above `after`, up to and with `upto`, to `visit`, in order, and checks them.
///
/// What lies before them is stepped over unchecked. It ends behind `upto`, so it can be used beside a process that
/// writes, for what is durable.
pub fn read_span<S: Storage>(
    storage: &S,
    after: u64,
    upto: u64,
    visit: impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
) -> Result<Report, ReadError> {
    report(storage, walk(storage, Span { after, upto }, visit)?)
}

fn report<S: Storage>(storage: &S, walk: Walk) -> Result<Report, ReadError> {
    let in_use = storage.is_locked().map_err(|source| ReadError::failed(storage, "the lock", source))?;
    Ok(Report { identity: walk.identity, contents: walk.contents, damage: walk.damage, in_use })
}

impl Contents {
    pub(super) fn add_segment(&mut self, segment: SegmentContents) {
        self.segments += 1;
        self.bytes += segment.bytes;
        self.by_segment.push(segment);
    }

    pub(super) fn add_batch(&mut self, header: &BatchHeader, bytes: u64) {
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
    pub(super) fn empty(file: &str, first_sequence: u64) -> Self {
        let bytes = SEGMENT_HEADER_BYTES as u64;
        Self { file: file.to_owned(), first_sequence, batches: 0, records: 0, bytes }
    }
}

impl ReadError {
    pub(super) fn failed<S: Storage>(storage: &S, what: &str, source: io::Error) -> Self {
        Self::Failed { place: storage.to_string(), what: what.to_owned(), source }
    }

    /// Whether a file is not there (any more).
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Failed { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
