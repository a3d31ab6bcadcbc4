//! The CPU share of one thread, without cgroups: a credit that grows with wall time times the share, is capped at one
//! tick, and pays for the thread's CPU time. Never pauses by itself.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::ticker::TICK;

/// Returns the CPU time of the calling thread since it began.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The credit of the thread that made it; only that thread may settle it.
pub(crate) struct Credit {
    share: f64,
    balance_s: f64,
    settled_at: Instant,
    settled_cpu: Duration,
}

impl Credit {
    /// Makes a credit without balance. `share` is above 0 and at most 1; at 1 it never pauses.
    pub(crate) fn new(share: f64) -> Credit {
        Credit { share, balance_s: 0.0, settled_at: Instant::now(), settled_cpu: thread_cpu() }
    }

    /// Earns and pays for the time since the last settlement. Returns the pause until the thread is out of debt; zero
    /// without debt.
    pub(crate) fn settle(&mut self) -> Duration {
        if self.share >= 1.0 {
            return Duration::ZERO;
        }
        let (now, cpu) = (Instant::now(), thread_cpu());
        let earned_s = now.duration_since(self.settled_at).as_secs_f64() * self.share;
        let spent_s = cpu.saturating_sub(self.settled_cpu).as_secs_f64();
        self.settled_at = now;
        self.settled_cpu = cpu;
        self.balance_s = (self.balance_s + earned_s - spent_s).min(TICK.as_secs_f64());
        Duration::from_secs_f64((-self.balance_s).max(0.0) / self.share)
    }
}
