//! The journal: a durable list of records with consecutive sequences, in preallocated segment files.
//!
//! Owns the format, the order of writes, recovery after a crash, and verification. A record is
//! opaque bytes: the journal knows nothing of commands. It never groups commits (its caller fills a
//! [`Batch`] while the last one is being written), never retries a failed write or sync, never
//! starts a thread, and does all I/O through [`Storage`](crate::storage::Storage).
//!
//! ```text
//! Journal::open   lock, read all, cut a damaged tail    -> Journal, Recovery
//! Journal::append one batch, one write, one sync
//! verify, read    the same reading, changing nothing    -> Report
//! read_span       some records, beside who writes       -> Report
//! trim            removes segments that nobody needs
//! ```
//!
//! What is promised: what `append` returned for is there after any crash; a changed byte anywhere
//! is found, and only the end of an interrupted write is ever cut, with a message.

mod append;
mod batch;
mod damage;
mod format;
mod open;
mod read;
mod segment;
pub mod storage;
mod trim;
mod walk;
mod window;

#[cfg(test)]
#[path = "../tests/unit/mod.rs"]
mod tests;

pub use append::{AppendError, Journal};
pub use batch::{Batch, MAX_BATCH_BYTES};
pub use damage::{Damage, Extent, Fault};
pub use open::{OpenError, Recovery, Settings, Sound};
pub use read::{Contents, Enough, ReadError, Report, SegmentContents, VisitError, read, read_span, verify};
pub use segment::WriteError;
pub use trim::{SegmentStart, TrimError, segments, trim};
