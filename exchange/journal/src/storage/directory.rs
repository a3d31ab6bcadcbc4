//! A real directory as storage, and its `lock` file.
//!
//! Owns the system calls: fallocate, fdatasync, fsync of the directory, flock. The lock is the kernel's, on the open
//! file: a process that dies in any way releases it, and the process id in the file only serves the message. It never
//! retries a write or a sync that failed.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::fs::FallocateFlags;
use rustix::io::{Errno, retry_on_intr};

use crate::storage::{LockError, Storage, StorageFile};

const LOCK_FILE: &str = "lock";

/// Attempts to lock before another process counts as the holder: [`Storage::is_locked`] holds the lock, shared, for
/// some microseconds.
const LOCK_ATTEMPTS: u32 = 3;
/// Pause between two attempts, 2 ms.
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// A directory of the local file system.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
    /// Open for [`Storage::sync_names`], which then needs no file descriptor; none if it was not created here.
    open: Option<Arc<File>>,
}

impl Directory {
    /// Takes the directory at `path`, and creates it, with its parents, if it is missing.
    pub fn create(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let missing: Vec<PathBuf> =
            path.ancestors().take_while(|directory| !directory.exists()).map(Path::to_path_buf).collect();
        fs::create_dir_all(&path)?;
        for directory in missing.iter().filter_map(|created| created.parent()) {
            let parent = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
            File::open(parent)?.sync_all()?;
        }
        let open = Some(Arc::new(File::open(&path)?));
        Ok(Self { path, open })
    }

    /// Takes the directory at `path` without creating it: if it is missing, the first call on it fails.
    pub fn existing(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), open: None }
    }

    fn lock_held(&self) -> LockError {
        let process = fs::read_to_string(self.path.join(LOCK_FILE)).ok().and_then(|text| text.trim().parse().ok());
        LockError::Held { place: self.to_string(), process }
    }

    fn lock_failed(&self, source: io::Error) -> LockError {
        LockError::Failed { place: self.to_string(), source }
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(formatter)
    }
}

impl Storage for Directory {
    type File = File;
    type Lock = File;

    fn lock(&self) -> Result<File, LockError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.path.join(LOCK_FILE))
            .map_err(|source| self.lock_failed(source))?;
        for attempt in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < LOCK_ATTEMPTS => {
                    thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => return Err(self.lock_held()),
                Err(TryLockError::Error(source)) => return Err(self.lock_failed(source)),
            }
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|source| self.lock_failed(source))?;
        Ok(file)
    }

    fn is_locked(&self) -> io::Result<bool> {
        let file = match File::open(self.path.join(LOCK_FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is not UTF-8 is not one of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(self.path.join(name))
    }

    fn open_to_read(&self, name: &str) -> io::Result<File> {
        File::open(self.path.join(name))
    }

    fn open_to_write(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        match &self.open {
            Some(open) => open.sync_all(),
            None => File::open(&self.path)?.sync_all(),
        }
    }

    fn random(&self) -> io::Result<u64> {
        Ok(getrandom::u64()?)
    }
}

impl StorageFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match FileExt::read_at(self, buffer, position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, position)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let present = StorageFile::length(self)?;
        if length <= present {
            return Ok(());
        }
        let reserve = || rustix::fs::fallocate(self, FallocateFlags::empty(), present, length - present);
        match retry_on_intr(reserve) {
            Ok(()) => Ok(()),
            // Some network and overlay file systems cannot reserve; a sparse file does as well.
            Err(Errno::OPNOTSUPP) => self.set_len(length),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
