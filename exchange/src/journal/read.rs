//! Reading a journal without opening it: verification, and the records for replay tools.
//!
//! Owns the report. It takes no lock and changes nothing, so it also works on a copy, on read-only
//! media, and beside a running process, whose batch being written may then look like a torn tail.

use std::error::Error;
use std::io;

use super::damage::Damage;
use super::format::BatchHeader;
use super::walk::walk;
use crate::storage::Storage;

/// What the reader of a record may answer to stop the reading.
pub type VisitError = Box<dyn Error + Send + Sync>;

/// What is valid in a journal, up to its end or to its damage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    pub segments: u64,
    pub batches: u64,
    pub records: u64,
    /// None if there is no record.
    pub first_sequence: Option<u64>,
    pub last_sequence: Option<u64>,
    /// Headers and batches, without the zeros that wait for more.
    pub bytes: u64,
}

/// What [`read`] and [`verify`] find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
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
    let walk = walk(storage, visit)?;
    let in_use = storage.is_locked().map_err(|source| ReadError::failed(storage, "the lock", source))?;
    Ok(Report { contents: walk.contents, damage: walk.damage, in_use })
}

impl Contents {
    pub(super) fn add_batch(&mut self, header: &BatchHeader, bytes: u64) {
        self.batches += 1;
        self.records += u64::from(header.records);
        self.bytes += bytes;
        self.first_sequence.get_or_insert(header.first_sequence);
        self.last_sequence = Some(header.first_sequence + u64::from(header.records) - 1);
    }
}

impl ReadError {
    pub(super) fn failed<S: Storage>(storage: &S, what: &str, source: io::Error) -> Self {
        Self::Failed { place: storage.to_string(), what: what.to_owned(), source }
    }
}
