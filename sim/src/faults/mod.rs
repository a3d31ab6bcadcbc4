//! A disk with faults: the exchange's `Storage` in memory, with the worst behaviour of a disk and a kernel.
//!
//! Owns the bytes and names that survive a crash. Bytes are safe after a sync of their file, names after a sync of the
//! directory. Of the rest a crash keeps any part, sector by sector, and of names the first few. Writes and syncs fail
//! by a schedule: a failed write leaves some of its bytes; a failed sync makes some written bytes durable and never the
//! rest, though they can still be read, as kernels do. The other bytes of a written sector stay as they were.
//!
//! Everything is drawn from the seed, in the order of the calls: the same calls meet the same faults. Never touches a
//! real disk.

mod file;
mod schedule;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use merit_journal::storage::{LockError, Storage};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

pub use file::DiskFile;
pub use schedule::{Faults, Rates};

use file::FileContents;
use schedule::{DiskCall, Schedule};

/// A flat directory of files in memory. Clones share it, as processes share a disk.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<DiskState>>);

struct DiskState {
    /// The files by name, as a process sees them.
    names: BTreeMap<String, u64>,
    /// The names after the last sync of the directory.
    durable_names: BTreeMap<String, u64>,
    /// Changes since that sync, in order.
    changes: Vec<NameChange>,
    files: BTreeMap<u64, FileContents>,
    next_file: u64,
    locked: bool,
    /// Number of crashes so far; a file that was opened before one is of no use.
    life: u64,
    schedule: Schedule,
    chance: Pcg64,
}

/// A change of names that a crash may undo.
enum NameChange {
    Created(String, u64),
    Renamed(String, String),
    Removed(String),
}

impl Disk {
    /// Makes an empty disk without faults.
    #[must_use]
    pub fn new(seed: u64) -> Disk {
        Disk(Arc::new(Mutex::new(DiskState {
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            files: BTreeMap::new(),
            next_file: 0,
            locked: false,
            life: 0,
            schedule: Schedule::default(),
            chance: Pcg64::seed_from_u64(seed),
        })))
    }

    /// Sets the rates of faults from now on.
    pub fn set_rates(&self, rates: Rates) {
        self.lock_state().schedule.rates = rates;
    }

    /// Stops the machine within `calls` calls from now on.
    pub fn crash_after(&self, calls: u64) {
        self.lock_state().schedule.crash_in = Some(calls);
    }

    /// Returns true if the machine has stopped; every call fails until it starts again.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.lock_state().schedule.crashed
    }

    /// Returns the faults so far.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.lock_state().schedule.faults
    }

    /// Stops the machine, if it has not stopped by itself, and starts it again. Unsynced bytes and names survive in
    /// part; nobody holds the lock or an open file. No crash is planned afterwards.
    pub fn restart(&self) {
        let mut state = self.lock_state();
        let DiskState { names, durable_names, changes, files, chance, .. } = &mut *state;
        let kept = chance.random_range(0..=changes.len());
        for change in changes.drain(..).take(kept) {
            change.apply(durable_names);
        }
        names.clone_from(durable_names);
        files.retain(|file, _| names.values().any(|named| named == file));
        for contents in files.values_mut() {
            contents.crash(chance);
        }
        state.locked = false;
        state.life += 1;
        state.schedule.restart();
    }

    /// Returns the bytes of a file as a process sees them.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock_state();
        let file = state.names.get(name)?;
        Some(state.files.get(file)?.seen.clone())
    }

    fn lock_state(&self) -> MutexGuard<'_, DiskState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, name: &str) -> io::Result<DiskFile> {
        let mut state = self.lock_state();
        state.meet(DiskCall::Read)?;
        let file = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(DiskFile { disk: self.clone(), file, life: state.life })
    }

    fn change(&self, call: DiskCall, change: impl FnOnce(&mut DiskState) -> io::Result<NameChange>) -> io::Result<()> {
        let mut state = self.lock_state();
        state.meet(call)?;
        let change = change(&mut state)?;
        change.apply(&mut state.names);
        state.changes.push(change);
        Ok(())
    }
}

impl DiskState {
    /// Lets the schedule decide on a call.
    fn meet(&mut self, call: DiskCall) -> io::Result<()> {
        self.schedule.meet(call, &mut self.chance)
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            NameChange::Created(name, file) => {
                names.insert(name.clone(), *file);
            }
            NameChange::Renamed(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            NameChange::Removed(name) => {
                names.remove(name);
            }
        }
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("memory")
    }
}

/// The lock on a disk, released when it is dropped.
pub struct DiskLock {
    disk: Disk,
    life: u64,
}

impl Drop for DiskLock {
    fn drop(&mut self) {
        let mut state = self.disk.lock_state();
        if state.life == self.life {
            state.locked = false;
        }
    }
}

impl Storage for Disk {
    type File = DiskFile;
    type Lock = DiskLock;

    fn lock(&self) -> Result<DiskLock, LockError> {
        let mut state = self.lock_state();
        if state.locked {
            return Err(LockError::Held { place: "memory".to_owned(), process: None });
        }
        state.locked = true;
        Ok(DiskLock { disk: self.clone(), life: state.life })
    }

    fn is_locked(&self) -> io::Result<bool> {
        Ok(self.lock_state().locked)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.lock_state();
        state.meet(DiskCall::Read)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<DiskFile> {
        self.change(DiskCall::Name, |state| {
            if state.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.next_file += 1;
            state.files.insert(state.next_file, FileContents::default());
            Ok(NameChange::Created(name.to_owned(), state.next_file))
        })?;
        let state = self.lock_state();
        Ok(DiskFile { disk: self.clone(), file: state.next_file, life: state.life })
    }

    fn open_to_read(&self, name: &str) -> io::Result<DiskFile> {
        self.open(name)
    }

    fn open_to_write(&self, name: &str) -> io::Result<DiskFile> {
        self.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(DiskCall::Name, |state| {
            state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
            Ok(NameChange::Renamed(from.to_owned(), to.to_owned()))
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(DiskCall::Name, |state| {
            state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
            Ok(NameChange::Removed(name.to_owned()))
        })
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.lock_state();
        state.meet(DiskCall::Sync)?;
        let DiskState { durable_names, changes, .. } = &mut *state;
        changes.drain(..).for_each(|change| change.apply(durable_names));
        Ok(())
    }

    fn random(&self) -> io::Result<u64> {
        Ok(self.lock_state().chance.random())
    }
}
