//! The time limit of an attempt: the lease's timeout, or the caller's deadline if that is sooner.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use merit_terms::{Outcome, Time};

/// Time that an answer may take beyond the lease's timeout, which the provider enforces.
const ANSWER_GRACE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimit {
    started: Instant,
    pub(super) limit: Duration,
    /// Set where the lease's timeout ends the attempt, and not the caller's deadline.
    pub(super) is_lease_s: bool,
}

impl TimeLimit {
    /// Starts the limit now. `within` is the time that the caller's deadline leaves.
    pub(super) fn start(timeout_ms: u32, within: Option<Duration>) -> TimeLimit {
        let longest = Duration::from_millis(timeout_ms.into()) + ANSWER_GRACE;
        let limit = within.map_or(longest, |within| within.min(longest));
        TimeLimit { started: Instant::now(), limit, is_lease_s: limit == longest }
    }

    pub(super) fn observed_us(self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Returns the deadline by this machine's clock.
    pub(super) fn deadline(self) -> Option<Time> {
        let at = SystemTime::now().checked_add(self.limit.saturating_sub(self.started.elapsed()))?;
        let micros = at.duration_since(UNIX_EPOCH).ok()?.as_micros();
        u64::try_from(micros).ok().map(Time::from_micros)
    }

    pub(super) fn instant(self) -> tokio::time::Instant {
        (self.started + self.limit).into()
    }

    /// Returns the limit without a time in which the caller was waited for.
    pub(super) fn without(self, waited: Duration) -> TimeLimit {
        TimeLimit { started: self.started + waited, ..self }
    }

    /// Returns the outcome of an answer that began and did not end within the limit.
    pub(super) const fn outcome(self) -> Outcome {
        if self.is_lease_s { Outcome::Timeout } else { Outcome::Ok }
    }
}
