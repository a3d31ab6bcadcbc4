//! The compiler slots of this machine, for all processes that share a folder of artefacts: each slot is a locked file,
//! which the kernel unlocks when its process ends. Without a folder there is no bound across processes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::artefacts::make_private;

/// Interval at which a taken slot is asked for again.
const RETRY: Duration = Duration::from_millis(20);
/// Pause of a process after it had a slot, in which others get it.
const PAUSE: Duration = Duration::from_millis(50);
/// Maximum wait: a process that was stopped keeps its slots. Afterwards a module is compiled without one.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// Groups of accounts, each of which has at most half of the slots. An account is always in the same group.
const GROUPS: u8 = 64;

pub(crate) struct CompilerSlots {
    /// None: no bound.
    folder: Option<PathBuf>,
    slots: usize,
    slots_of_one: usize,
    last_end: Arc<Mutex<Option<Instant>>>,
}

/// A taken slot, until it is dropped.
pub(crate) struct CompilerSlot {
    _locked: Option<[File; 2]>,
    last_end: Arc<Mutex<Option<Instant>>>,
}

impl CompilerSlots {
    /// Makes the folder `locks` in `directory`. Without it nothing is bounded across processes.
    pub(crate) fn new(directory: Option<&Path>, slots: usize) -> CompilerSlots {
        let folder = directory.map(|directory| directory.join("locks")).filter(|folder| make_private(folder).is_ok());
        CompilerSlots { folder, slots, slots_of_one: (slots / 2).max(1), last_end: Arc::default() }
    }

    /// Waits for a slot. Returns one without locks after ten minutes, or if the lock files cannot be used: a full disk
    /// or a stopped process does not end compilation.
    pub(crate) async fn take(&self, account: &str) -> CompilerSlot {
        let locked = timeout(WAIT_MAX, self.lock(account)).await.ok().flatten();
        CompilerSlot { _locked: locked, last_end: Arc::clone(&self.last_end) }
    }

    async fn lock(&self, account: &str) -> Option<[File; 2]> {
        let folder = self.folder.as_ref()?;
        let last_end = *self.last_end.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last_end) = last_end {
            sleep_until(last_end + PAUSE).await;
        }
        loop {
            match self.try_lock(folder, account) {
                Ok(None) => sleep(RETRY).await,
                locked => return locked.ok().flatten(),
            }
        }
    }

    fn try_lock(&self, folder: &Path, account: &str) -> io::Result<Option<[File; 2]>> {
        let group = Sha256::digest(account)[0] % GROUPS;
        let Some(of_account) = lock_one(folder, &format!("account-{group}"), self.slots_of_one)? else {
            return Ok(None);
        };
        let slot = lock_one(folder, "slot", self.slots)?;
        Ok(slot.map(|slot| [of_account, slot]))
    }
}

/// Locks one of `most` files that share a name.
fn lock_one(folder: &Path, name: &str, most: usize) -> io::Result<Option<File>> {
    for number in 0..most {
        let path = folder.join(format!("{name}-{number}"));
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(None)
}

impl Drop for CompilerSlot {
    fn drop(&mut self) {
        *self.last_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

#[cfg(test)]
#[path = "../tests/unit/compiler_slots.rs"]
mod tests;
