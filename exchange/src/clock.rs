//! The only place in the exchange that reads a clock.

use std::time::{SystemTime, UNIX_EPOCH};

use merit_terms::Time;

/// Reads the clock, in UTC. A clock before 1970 reads as 1970; the engine never goes back behind its last command.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_micros(since.as_micros().try_into().unwrap_or(u64::MAX))
}
