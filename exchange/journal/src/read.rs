//! Reading a journal without opening it: verification, and the records for replay tools.
//!
//! Owns the three readings. They take no lock and change nothing, so they also work on a copy, on read-only media, and
//! beside a running process, whose batch being written may then look like a torn tail.

use crate::report::{ReadError, Report, VisitError};
use crate::storage::Storage;
use crate::walk::{Span, Walk, walk};

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
/// Earlier records are stepped over unchecked. The reading ends after `upto`, so durable records can be read beside a
/// process that writes.
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
