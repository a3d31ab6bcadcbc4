//! The limit on open files (RLIMIT_NOFILE), raised at the start, and the part of it that connections may use.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files that are kept for the journal, the archive, modules and logs.
const FILES_RESERVED: usize = 128;
/// The limit to which it is raised at most: beyond the bounds of all ports there is no use for more.
const RAISED_MAX: u64 = 262_144;

/// Raises the soft limit towards the hard one. Returns the limit that holds.
pub fn raise() -> usize {
    let limits = getrlimit(Resource::Nofile);
    let wanted = limits.maximum.unwrap_or(u64::MAX).min(RAISED_MAX);
    if limits.current.is_some_and(|current| current < wanted) {
        // A refusal leaves the limit as it is.
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limits.maximum }).ok();
    }
    limit()
}

/// Returns the open files that connections may use.
pub fn for_connections() -> usize {
    limit().saturating_sub(FILES_RESERVED)
}

/// Returns the limit that holds.
pub fn limit() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}
