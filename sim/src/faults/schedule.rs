//! When a call on the disk fails, and how.

use std::io;

use rand::RngExt;
use rand_pcg::Pcg64;

/// How often each kind of call fails, in 10,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    pub read: u32,
    pub write: u32,
    pub sync: u32,
    /// Creating, renaming and removing files.
    pub name: u32,
}

/// How many faults of each kind there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    pub reads: u64,
    pub writes: u64,
    pub syncs: u64,
    pub names: u64,
    /// The machine stopped in the middle of a call.
    pub crashes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Read,
    Write,
    Sync,
    Name,
}

#[derive(Debug, Default)]
pub(super) struct Schedule {
    pub(super) rates: Rates,
    /// Calls until the machine stops.
    pub(super) crash_in: Option<u64>,
    pub(super) crashed: bool,
    pub(super) faults: Faults,
}

impl Schedule {
    pub(super) fn restart(&mut self) {
        (self.crash_in, self.crashed) = (None, false);
    }

    /// Whether a call goes well. The one in whose middle the machine stops does not.
    pub(super) fn meet(&mut self, call: Call, chance: &mut Pcg64) -> io::Result<()> {
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
            Call::Read => (self.rates.read, &mut self.faults.reads),
            Call::Write => (self.rates.write, &mut self.faults.writes),
            Call::Sync => (self.rates.sync, &mut self.faults.syncs),
            Call::Name => (self.rates.name, &mut self.faults.names),
        };
        if chance.random_range(0..10_000) >= rate {
            return Ok(());
        }
        *count += 1;
        let is_full = matches!(call, Call::Write | Call::Name) && chance.random();
        Err(io::Error::from_raw_os_error(if is_full { NO_SPACE } else { INPUT_OUTPUT }))
    }
}

/// ENOSPC and EIO.
const NO_SPACE: i32 = 28;
const INPUT_OUTPUT: i32 = 5;
