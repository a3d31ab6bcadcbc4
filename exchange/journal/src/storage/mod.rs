//! The interface to a disk: one flat place of named files, and one lock on it.
//!
//! Owns the two traits and the lock's failure. Everything durable goes through them, so that a simulator can put a disk
//! with faults in their place. It never interprets a file, never buffers, and never starts a thread: each call returns
//! when it is done.

mod directory;

use std::fmt::Display;
use std::io;

pub use directory::Directory;

/// A flat place of named files, used by one thread. It displays as its name in messages, such as the path of a
/// directory.
///
/// Names are plain file names, without a separator. A file's new name, and its absence after a removal, survive a crash
/// only after [`Storage::sync_names`].
pub trait Storage: Display + Send {
    type File: StorageFile;
    /// Held while it lives, released when it is dropped or its process ends.
    type Lock: Send;

    /// Locks the place for this process alone, without waiting.
    fn lock(&self) -> Result<Self::Lock, LockError>;

    /// Returns true if any process holds the lock at this moment. Changes nothing.
    fn is_locked(&self) -> io::Result<bool>;

    /// Lists the names of all files, in no particular order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates an empty file, for reading and writing. Refuses a name that exists.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading only.
    fn open_to_read(&self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing.
    fn open_to_write(&self, name: &str) -> io::Result<Self::File>;

    /// Renames a file in one step; a file that had the new name is gone.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names that were created, changed and removed so far survive a crash.
    fn sync_names(&self) -> io::Result<()>;

    /// Draws a number that nobody can guess.
    fn random(&self) -> io::Result<u64>;
}

/// One open file.
pub trait StorageFile: Send {
    /// Returns the file's length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Reads at most `buffer.len()` bytes at `position`. Returns how many; 0 only at the end.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all bytes at `position`. After an error any part of them may be written.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()>;

    /// Grows the file to `length` bytes, the new ones zero, and reserves room for them where the file system can. Never
    /// shrinks a file, never changes a byte of it.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// Makes the file's bytes and length survive a crash.
    fn sync(&self) -> io::Result<()>;
}

/// A lock that could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "another merit process{} uses the data directory {place}; stop it, or give this one another directory",
        process.map(|id| format!(" (process {id})")).unwrap_or_default()
    )]
    Held {
        place: String,
        /// The holder's process id, if it could be read.
        process: Option<u32>,
    },
    #[error("could not lock the data directory {place}")]
    Failed { place: String, source: io::Error },
}
