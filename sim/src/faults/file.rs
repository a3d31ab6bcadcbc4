//! One file of the disk: its seen bytes, its durable bytes, and the part of the difference that a crash keeps. Never
//! decides whether a call fails.

use std::io;
use std::ops::Range;

use merit_journal::storage::StorageFile;
use rand::RngExt;
use rand_pcg::Pcg64;

use super::schedule::DiskCall;
use super::{Disk, DiskState};

/// Size in bytes of a sector, which a disk writes as a whole or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Default)]
pub(super) struct FileContents {
    /// Bytes that a process reads.
    pub(super) seen: Vec<u8>,
    /// Bytes that a crash cannot change.
    durable: Vec<u8>,
    /// Ranges written since the last sync, of which a crash may keep a part.
    unsynced: Vec<Range<usize>>,
}

impl FileContents {
    fn write(&mut self, position: usize, bytes: &[u8]) {
        let range = position..position + bytes.len();
        self.grow(range.end);
        self.seen[range.clone()].copy_from_slice(bytes);
        self.unsynced.push(range);
    }

    fn grow(&mut self, length: usize) {
        if length > self.seen.len() {
            self.seen.resize(length, 0);
        }
    }

    fn sync(&mut self) {
        self.durable.resize(self.seen.len(), 0);
        for range in std::mem::take(&mut self.unsynced) {
            self.durable[range.clone()].copy_from_slice(&self.seen[range]);
        }
    }

    /// Makes some written bytes durable; the rest never will be, but for another write of them.
    fn fail_to_sync(&mut self, chance: &mut Pcg64) {
        self.keep_some(chance);
    }

    pub(super) fn crash(&mut self, chance: &mut Pcg64) {
        self.keep_some(chance);
        if chance.random() {
            // The new length is durable, the bytes are not.
            self.durable.resize(self.seen.len(), 0);
        }
        self.seen.clone_from(&self.durable);
    }

    /// Makes some unsynced sectors durable, some of them only up to a part of the written bytes.
    fn keep_some(&mut self, chance: &mut Pcg64) {
        for range in std::mem::take(&mut self.unsynced) {
            let mut start = range.start;
            while start < range.end {
                let end = range.end.min((start / SECTOR_BYTES + 1) * SECTOR_BYTES);
                let kept = match chance.random_range(0..8) {
                    0..=3 => 0,
                    4 => chance.random_range(0..end - start),
                    _ => end - start,
                };
                if kept > 0 {
                    self.durable.resize(self.durable.len().max(start + kept), 0);
                    self.durable[start..start + kept].copy_from_slice(&self.seen[start..start + kept]);
                }
                start = end;
            }
        }
    }
}

/// An open file. It is of no use after a crash.
pub struct DiskFile {
    pub(super) disk: Disk,
    pub(super) file: u64,
    pub(super) life: u64,
}

impl DiskFile {
    fn with<T>(&self, act: impl FnOnce(&mut DiskState, u64) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.lock_state();
        if state.life != self.life {
            return Err(io::Error::other("the machine was stopped since the file was opened"));
        }
        act(&mut state, self.file)
    }
}

fn contents(state: &mut DiskState, file: u64) -> io::Result<(&mut FileContents, &mut Pcg64)> {
    let DiskState { files, chance, .. } = state;
    let contents = files.get_mut(&file).ok_or(io::ErrorKind::NotFound)?;
    Ok((contents, chance))
}

fn index(position: u64) -> io::Result<usize> {
    usize::try_from(position).map_err(io::Error::other)
}

impl StorageFile for DiskFile {
    fn length(&self) -> io::Result<u64> {
        self.with(|state, file| Ok(contents(state, file)?.0.seen.len() as u64))
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|state, file| {
            state.meet(DiskCall::Read)?;
            let seen = &contents(state, file)?.0.seen;
            let rest = seen.get(index(position)?..).unwrap_or_default();
            let read = rest.len().min(buffer.len());
            buffer[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        })
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|state, file| {
            let allowed = state.meet(DiskCall::Write);
            let (contents, chance) = contents(state, file)?;
            let written = if allowed.is_ok() { bytes.len() } else { chance.random_range(0..=bytes.len()) };
            contents.write(index(position)?, &bytes[..written]);
            allowed
        })
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.with(|state, file| {
            state.meet(DiskCall::Write)?;
            contents(state, file)?.0.grow(index(length)?);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state, file| {
            let allowed = state.meet(DiskCall::Sync);
            let (contents, chance) = contents(state, file)?;
            match allowed {
                Ok(()) => contents.sync(),
                Err(_) => contents.fail_to_sync(chance),
            }
            allowed
        })
    }
}
