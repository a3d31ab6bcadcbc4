//! A watch on the data directory: a process whose directory was removed or replaced ends, and does not go on answering
//! on files that nobody will find again. PostgreSQL checks its lock file likewise.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LOCK_FILE: &str = "lock";
/// Interval of the checks.
pub(crate) const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The lock file of a directory, as it was at the start.
pub(crate) struct DirectoryWatch {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl DirectoryWatch {
    /// Begins a watch on a directory that this process has locked.
    pub(crate) fn begin(data_dir: &Path) -> io::Result<DirectoryWatch> {
        let path = data_dir.join(LOCK_FILE);
        let found = fs::metadata(&path)?;
        Ok(DirectoryWatch { path, device: found.dev(), inode: found.ino() })
    }

    /// Returns the reason for which the directory is no longer ours, if it is not. An error that may pass is none.
    pub(crate) fn check(&self) -> Option<String> {
        let fault = match fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => return None,
            Ok(_) => "was replaced",
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => "is gone",
            Err(_) => return None,
        };
        Some(format!(
            "{} {fault} while this process ran; answers of the last second may be lost. Put the directory back as it \
             was, or restore it, and start again",
            self.path.display()
        ))
    }
}

#[cfg(test)]
#[path = "../tests/unit/directory_watch.rs"]
mod tests;
