//! A durable list of records with consecutive sequences, in preallocated segment files.
//!
//! Owns the format, the order of writes, recovery after a crash, and verification. A record is opaque bytes: this crate
//! knows no command. It never groups commits (the caller fills a [`Batch`] while the last one is being written), never
//! retries a failed write or sync, never starts a thread, and does all I/O through [`storage::Storage`].
//!
//! ```text
//! Journal::open   lock, read all, cut a damaged tail    -> Journal, Recovery
//! Journal::append one batch, one write, one sync
//! verify, read    the same reading, changing nothing    -> Report
//! read_span       some records, beside the writer       -> Report
//! trim            removes segments that nobody needs
//! ```
//!
//! Two promises. Every batch for which `append` returned is there after any crash. A changed byte anywhere is found,
//! and only the end of an interrupted write is ever cut, with a message.
//!
//! Imports go down:
//!
//! ```text
//! open, append, read, trim      the operations
//! walk                          reads everything and judges damage
//! segments, segment, window     the list of files; one file written; one file read
//! report, batch, damage, format, storage
//! ```

mod append;
mod batch;
mod damage;
mod format;
mod open;
mod read;
mod report;
mod segment;
mod segments;
pub mod storage;
mod trim;
mod walk;
mod window;

#[cfg(test)]
#[path = "../tests/unit/mod.rs"]
mod tests;

pub use append::{AppendError, Journal, Settings};
pub use batch::{Batch, MAX_BATCH_BYTES, read_batch};
pub use damage::{Damage, Extent, Fault};
pub use open::{OpenError, Recovery, Sound};
pub use read::{read, read_span, verify};
pub use report::{Contents, Enough, ReadError, Report, SegmentContents, VisitError};
pub use segment::WriteError;
pub use segments::{SegmentStart, segments};
pub use trim::{TrimError, trim};
