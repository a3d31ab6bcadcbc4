//! A disk with faults: the exchange's `Storage` in memory, with the worst that a disk and a kernel may do.
//!
//! Owns what survives. Bytes are safe once their file is synced, names once the directory is; of the rest a crash keeps
//! any part, sector by sector, and of names the first few. Writes and syncs fail when the schedule says so: a failed
//! write leaves some of its bytes, a failed sync makes some of what was written durable and never the rest, though it can
//! still be read, as kernels do. The bytes of a sector beside those that are written stay as they were.
//!
//! Everything is drawn from the seed, in the order of the calls: the same calls meet the same faults.

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

use file::Contents;
use schedule::{Call, Schedule};

/// A flat place of named files in memory. Clones share it, as processes share a disk.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

struct State {
    /// The files by name, as a process sees them.
    names: BTreeMap<String, u64>,
    /// The same after the last sync of the directory, and what was changed since, in order.
    durable_names: BTreeMap<String, u64>,
    changes: Vec<Change>,
    files: BTreeMap<u64, Contents>,
    next_file: u64,
    locked: bool,
    /// The number of crashes so far: a file that was opened before one is of no use.
    life: u64,
    schedule: Schedule,
    chance: Pcg64,
}

/// A change of names that a crash may undo.
enum Change {
    Created(String, u64),
    Renamed(String, String),
    Removed(String),
}

impl Disk {
    /// An empty disk without faults.
    #[must_use]
    pub fn new(seed: u64) -> Disk {
        Disk(Arc::new(Mutex::new(State {
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

    /// Faults of these kinds and rates from now on.
    pub fn set_rates(&self, rates: Rates) {
        self.lock_state().schedule.rates = rates;
    }

    /// The machine stops within this many calls from now on.
    pub fn crash_after(&self, calls: u64) {
        self.lock_state().schedule.crash_in = Some(calls);
    }

    /// Whether the machine has stopped: every call fails until it starts again.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.lock_state().schedule.crashed
    }

    /// What happened so far.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.lock_state().schedule.faults
    }

    /// Stops the machine, if it has not stopped by itself, and starts it again: whatever was not synced is there in part,
    /// and nobody holds the lock or an open file any more. No crash is planned afterwards.
    pub fn restart(&self) {
        let mut state = self.lock_state();
        let State { names, durable_names, changes, files, chance, .. } = &mut *state;
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

    /// The bytes of a file as a process sees them.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock_state();
        let file = state.names.get(name)?;
        Some(state.files.get(file)?.seen.clone())
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, name: &str) -> io::Result<DiskFile> {
        let mut state = self.lock_state();
        state.meet(Call::Read)?;
        let file = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(DiskFile { disk: self.clone(), file, life: state.life })
    }

    fn change(&self, call: Call, change: impl FnOnce(&mut State) -> io::Result<Change>) -> io::Result<()> {
        let mut state = self.lock_state();
        state.meet(call)?;
        let change = change(&mut state)?;
        change.apply(&mut state.names);
        state.changes.push(change);
        Ok(())
    }
}

impl State {
    /// Lets the schedule decide on a call.
    fn meet(&mut self, call: Call) -> io::Result<()> {
        self.schedule.meet(call, &mut self.chance)
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Change::Created(name, file) => {
                names.insert(name.clone(), *file);
            }
            Change::Renamed(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Change::Removed(name) => {
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
pub struct Held {
    disk: Disk,
    life: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.disk.lock_state();
        if state.life == self.life {
            state.locked = false;
        }
    }
}

impl Storage for Disk {
    type File = DiskFile;
    type Lock = Held;

    fn lock(&self) -> Result<Held, LockError> {
        let mut state = self.lock_state();
        if state.locked {
            return Err(LockError::Held { place: "memory".to_owned(), process: None });
        }
        state.locked = true;
        Ok(Held { disk: self.clone(), life: state.life })
    }

    fn is_locked(&self) -> io::Result<bool> {
        Ok(self.lock_state().locked)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.lock_state();
        state.meet(Call::Read)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<DiskFile> {
        self.change(Call::Name, |state| {
            if state.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.next_file += 1;
            state.files.insert(state.next_file, Contents::default());
            Ok(Change::Created(name.to_owned(), state.next_file))
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
        self.change(Call::Name, |state| {
            state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
            Ok(Change::Renamed(from.to_owned(), to.to_owned()))
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(Call::Name, |state| {
            state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
            Ok(Change::Removed(name.to_owned()))
        })
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.lock_state();
        state.meet(Call::Sync)?;
        let State { durable_names, changes, .. } = &mut *state;
        changes.drain(..).for_each(|change| change.apply(durable_names));
        Ok(())
    }

    fn random(&self) -> io::Result<u64> {
        Ok(self.lock_state().chance.random())
    }
}
