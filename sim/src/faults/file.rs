//! One file of the disk: what is seen of it, what is durable, and what a crash may keep of the difference.

use std::io;
use std::ops::Range;

use merit_journal::storage::StorageFile;
use rand::RngExt;
use rand_pcg::Pcg64;

use super::schedule::Call;
use super::{Disk, State};

/// What a disk writes as a whole, or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Default)]
pub(super) struct Contents {
    /// What a process reads.
    pub(super) seen: Vec<u8>,
    /// What a crash cannot change.
    durable: Vec<u8>,
    /// Written since the last sync. After a failed one: what a crash may still keep.
    unsynced: Vec<Range<usize>>,
}

impl Contents {
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

    /// Some of what was written gets durable and the rest never will, but for another write of it.
    fn fail_to_sync(&mut self, chance: &mut Pcg64) {
        self.keep_some(chance);
    }

    pub(super) fn crash(&mut self, chance: &mut Pcg64) {
        self.keep_some(chance);
        if chance.random() {
            // The length was changed durably, the bytes were not.
            self.durable.resize(self.seen.len(), 0);
        }
        self.seen.clone_from(&self.durable);
    }

    /// Makes some sectors of what is unsynced durable; of some only the beginning of what was written in them.
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

/// An open file. Of no use after a crash.
pub struct DiskFile {
    pub(super) disk: Disk,
    pub(super) file: u64,
    pub(super) life: u64,
}

impl DiskFile {
    fn with<T>(&self, act: impl FnOnce(&mut State, u64) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.lock_state();
        if state.life != self.life {
            return Err(io::Error::other("the machine was stopped since the file was opened"));
        }
        act(&mut state, self.file)
    }
}

fn contents(state: &mut State, file: u64) -> io::Result<(&mut Contents, &mut Pcg64)> {
    let State { files, chance, .. } = state;
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
            state.meet(Call::Read)?;
            let seen = &contents(state, file)?.0.seen;
            let rest = seen.get(index(position)?..).unwrap_or_default();
            let read = rest.len().min(buffer.len());
            buffer[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        })
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|state, file| {
            let allowed = state.meet(Call::Write);
            let (contents, chance) = contents(state, file)?;
            let written = if allowed.is_ok() { bytes.len() } else { chance.random_range(0..=bytes.len()) };
            contents.write(index(position)?, &bytes[..written]);
            allowed
        })
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.with(|state, file| {
            state.meet(Call::Write)?;
            contents(state, file)?.0.grow(index(length)?);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state, file| {
            let allowed = state.meet(Call::Sync);
            let (contents, chance) = contents(state, file)?;
            match allowed {
                Ok(()) => contents.sync(),
                Err(_) => contents.fail_to_sync(chance),
            }
            allowed
        })
    }
}
