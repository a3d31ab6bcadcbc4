//! The schedule of faults: chooses the calls on the disk that fail. Never touches a file.

use std::io;

use rand::RngExt;
use rand_pcg::Pcg64;

/// Failures of each kind of call in 10,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    pub read: u32,
    pub write: u32,
    pub sync: u32,
    /// Failures of creating, renaming and removing files.
    pub name: u32,
}

/// Number of faults of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    pub reads: u64,
    pub writes: u64,
    pub syncs: u64,
    pub names: u64,
    /// Stops of the machine in the middle of a call.
    pub crashes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiskCall {
    Read,
    Write,
    Sync,
    Name,
}

#[derive(Debug, Default)]
pub(super) struct Schedule {
    pub(super) rates: Rates,
    /// Number of calls until the machine stops.
    pub(super) crash_in: Option<u64>,
    pub(super) crashed: bool,
    pub(super) faults: Faults,
}

impl Schedule {
    pub(super) fn restart(&mut self) {
        (self.crash_in, self.crashed) = (None, false);
    }

    /// Lets a call pass or fail. It fails if the machine stops in its middle.
    pub(super) fn meet(&mut self, call: DiskCall, chance: &mut Pcg64) -> io::Result<()> {
        if self.crashed {
            return Err(io::Error::other("the machine has stopped"));
        }
        if let Some(left) = &mut self.crash_in {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.crashed = true;
                self.faults.crashes += 1;
                return Err(io::Error::other("the machine stops"));
            }
        }
        let (rate, count) = match call {
            DiskCall::Read => (self.rates.read, &mut self.faults.reads),
            DiskCall::Write => (self.rates.write, &mut self.faults.writes),
            DiskCall::Sync => (self.rates.sync, &mut self.faults.syncs),
            DiskCall::Name => (self.rates.name, &mut self.faults.names),
        };
        if chance.random_range(0..10_000) >= rate {
            return Ok(());
        }
        *count += 1;
        let is_full = matches!(call, DiskCall::Write | DiskCall::Name) && chance.random();
        Err(io::Error::from_raw_os_error(if is_full { NO_SPACE } else { INPUT_OUTPUT }))
    }
}

/// ENOSPC.
const NO_SPACE: i32 = 28;
/// EIO.
const INPUT_OUTPUT: i32 = 5;
