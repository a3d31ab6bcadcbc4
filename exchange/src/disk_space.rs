//! The free space of the disk of the journal. When it gets low, uploads are refused first, then definitions, then
//! calls, so that the calls under way can still be settled. All goes on by itself once there is room.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use merit_terms::Refusal;

/// Interval at which the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const BYTES_PER_MB: u64 = 1 << 20;

/// Work that takes space, in the order in which it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Growth {
    Calls,
    Definitions,
    Uploads,
}

impl Growth {
    const ALL: [Growth; 3] = [Growth::Calls, Growth::Definitions, Growth::Uploads];

    /// In the plural.
    pub const fn as_str(self) -> &'static str {
        match self {
            Growth::Calls => "calls",
            Growth::Definitions => "definitions",
            Growth::Uploads => "uploads",
        }
    }

    /// Returns the free space below which it is refused: the reserve, twice, three times as much.
    const fn least(self, reserve: u64) -> u64 {
        match self {
            Growth::Calls => reserve,
            Growth::Definitions => 2 * reserve,
            Growth::Uploads => 3 * reserve,
        }
    }
}

/// The state of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskReport {
    /// In bytes.
    pub free: u64,
    /// The first of the work that is refused, and with it all after it. None while there is room.
    pub refused: Option<Growth>,
}

/// The disk of a directory.
pub(crate) struct DiskSpace {
    path: PathBuf,
    /// In bytes.
    reserve: u64,
    seen: Mutex<Seen>,
}

struct Seen {
    at: Option<Instant>,
    report: DiskReport,
}

impl DiskReport {
    /// Judges what is free. What was refused is taken again with an eighth of the reserve to spare.
    fn judge(free: u64, reserve: u64, before: Option<Growth>) -> DiskReport {
        let is_refused = |growth: &Growth| {
            let margin = if before.is_some_and(|before| before <= *growth) { reserve / 8 } else { 0 };
            free < growth.least(reserve) + margin
        };
        DiskReport { free, refused: Growth::ALL.into_iter().find(is_refused) }
    }
}

impl DiskSpace {
    pub(crate) fn of(data_dir: &Path, reserve: u64) -> DiskSpace {
        let seen = Mutex::new(Seen { at: None, report: DiskReport { free: u64::MAX, refused: None } });
        DiskSpace { path: data_dir.to_owned(), reserve, seen }
    }

    /// Refuses work for which too little is left.
    pub(crate) fn check(&self, growth: Growth) -> Result<(), Refusal> {
        let DiskReport { free, refused } = self.report();
        match refused.is_some_and(|refused| refused <= growth) {
            true => Err(Refusal::DiskLow {
                what: growth.as_str(),
                free_mb: free / BYTES_PER_MB,
                kept_mb: growth.least(self.reserve) / BYTES_PER_MB,
            }),
            false => Ok(()),
        }
    }

    /// Returns what is left, at most half a second ago. Logs each change of what is refused.
    pub(crate) fn report(&self) -> DiskReport {
        let mut seen = self.lock();
        if seen.at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return seen.report;
        }
        seen.at = Some(Instant::now());
        // A disk that cannot be asked is judged by its last answer.
        let Ok(found) = rustix::fs::statvfs(&self.path) else { return seen.report };
        let before = seen.report.refused;
        seen.report = DiskReport::judge(found.f_bavail.saturating_mul(found.f_frsize), self.reserve, before);
        let DiskReport { free, refused } = seen.report;
        let free_mb = free / BYTES_PER_MB;
        match refused {
            refused if refused == before => {}
            Some(Growth::Uploads) => tracing::warn!(free_mb, "the disk gets full: uploads are refused"),
            Some(Growth::Definitions) => tracing::warn!(free_mb, "the disk is low: definitions are refused, too"),
            Some(Growth::Calls) => tracing::error!(free_mb, "the disk is nearly full: calls are refused; make room"),
            None => tracing::info!(free_mb, "the disk has room again"),
        }
        seen.report
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "../tests/unit/disk_space.rs"]
mod tests;
