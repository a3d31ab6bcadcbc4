//! The progress of a module that gets ready, for callers that ask when to come again.
//!
//! An estimate: by the module's code, and the CPU time that its compiler has used so far. Never decides anything.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use merit_module::code_bytes;
use rustix::param::clock_ticks_per_second;

/// CPU time of a compilation: a base, and an addition for each MB of code. Measured: docs/benchmarks.md, "Compiling".
const CPU_BASE: Duration = Duration::from_millis(300);
const CPU_PER_MB: Duration = Duration::from_secs(4);
/// CPU time from which on the compiler's speed is known.
const CPU_KNOWN: Duration = Duration::from_millis(200);
/// Least speed of a compiler that is assumed: one in so many seconds of the clock.
const SLOWEST: u32 = 50;
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(600);

/// The progress of one module. Until it is known, the least is expected.
#[derive(Default)]
pub(crate) struct Progress(Mutex<Compilation>);

#[derive(Default)]
struct Compilation {
    expected: Duration,
    /// The child process that compiles it, and its start.
    child: Option<(u32, Instant)>,
}

impl Progress {
    /// Notes the module.
    pub(crate) fn expect(&self, wasm: &[u8]) {
        let code = u32::try_from(code_bytes(wasm)).unwrap_or(u32::MAX);
        self.lock().expected = CPU_BASE + CPU_PER_MB * (code / 1000) / 1000;
    }

    /// Notes the process that compiles it; none: no longer.
    pub(crate) fn set_child(&self, process: Option<u32>) {
        self.lock().child = process.map(|process| (process, Instant::now()));
    }

    /// Estimates the time until it is ready: at least a second, at most ten minutes.
    pub(crate) fn remaining(&self) -> Duration {
        let compilation = self.lock();
        let (used, passed) = compilation
            .child
            .map_or_else(Default::default, |(process, since)| (cpu_time(process).unwrap_or_default(), since.elapsed()));
        remaining(compilation.expected, used, passed)
    }

    fn lock(&self) -> MutexGuard<'_, Compilation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Estimates the time until a compilation ends that has used so much of the expected CPU time, since `passed`. One that
/// takes longer than expected is expected to take a fifth more.
fn remaining(expected: Duration, used: Duration, passed: Duration) -> Duration {
    let left = expected.saturating_sub(used).max(used / 5);
    let left = match used >= CPU_KNOWN && passed > used {
        true => left.mul_f64(passed.div_duration_f64(used).min(SLOWEST.into())),
        false => left,
    };
    left.clamp(LEAST, MOST)
}

/// Returns the CPU time that a process has used (proc(5), `stat`).
fn cpu_time(process: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may have any character. After it, user and system time are the twelfth and next.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = fields.next()?.ok()? + fields.next()?.ok()?;
    Some(Duration::from_millis(ticks * 1000 / clock_ticks_per_second().max(1)))
}

#[cfg(test)]
#[path = "../tests/unit/progress.rs"]
mod tests;
