//! The progress of a module that gets ready, for callers that ask when to come again, and for its compiler, which
//! starts again when it gets no CPU time.
//!
//! An estimate: by the module's code, and the CPU time that its compiler has used so far. Never ends a compilation.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use merit_module::code_bytes;
use rustix::param::clock_ticks_per_second;

/// CPU time of a compilation: a base, and an addition for each MB of code. Measured in docs/benchmarks.md, "Compiling
/// modules".
const CPU_BASE: Duration = Duration::from_millis(300);
const CPU_PER_MB: Duration = Duration::from_secs(4);
/// CPU time after which a compilation's share of a core is measured.
const CPU_MEASURED: Duration = Duration::from_millis(200);
/// Lowest share of a core that is assumed: one fiftieth.
const SLOWDOWN_MAX: u32 = 50;
/// CPU time in a second below which a child counts as starved: 5 % of a core.
const STARVED_CPU: Duration = Duration::from_millis(50);
const STARVED_WITHIN: Duration = Duration::from_secs(1);
/// Bounds of an estimate.
const REMAINING_MIN: Duration = Duration::from_secs(1);
const REMAINING_MAX: Duration = Duration::from_secs(600);

/// The progress of one module's compilation. Estimates 1 s until the module is known.
#[derive(Default)]
pub(crate) struct CompileProgress(Mutex<Compilation>);

#[derive(Default)]
struct Compilation {
    expected: Duration,
    /// The child process that compiles it, and its start.
    child: Option<(u32, Instant)>,
}

impl CompileProgress {
    /// Expects the CPU time of the module's code.
    pub(crate) fn set_module(&self, wasm: &[u8]) {
        let code = u32::try_from(code_bytes(wasm)).unwrap_or(u32::MAX);
        self.lock().expected = CPU_BASE + CPU_PER_MB * (code / 1000) / 1000;
    }

    /// Sets the compiling process; none: it has ended.
    pub(crate) fn set_child(&self, process: Option<u32>) {
        self.lock().child = process.map(|process| (process, Instant::now()));
    }

    /// Waits until the compiling process has used almost no CPU time for a second. Never ends without a process.
    pub(crate) async fn starved(&self) {
        let mut before = None;
        loop {
            tokio::time::sleep(STARVED_WITHIN).await;
            let child = self.lock().child;
            let now = child.and_then(|(process, _)| Some((process, cpu_time(process)?)));
            match (before, now) {
                (Some((old, used_before)), Some((new, used))) if old == new && used < used_before + STARVED_CPU => {
                    return;
                }
                _ => before = now,
            }
        }
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

/// Estimates the rest of a compilation that has used `used` of `expected` CPU time within `passed`. Beyond `expected`,
/// another fifth of `used` is assumed.
fn remaining(expected: Duration, used: Duration, passed: Duration) -> Duration {
    let left = expected.saturating_sub(used).max(used / 5);
    let left = match used >= CPU_MEASURED && passed > used {
        true => left.mul_f64(passed.div_duration_f64(used).min(SLOWDOWN_MAX.into())),
        false => left,
    };
    left.clamp(REMAINING_MIN, REMAINING_MAX)
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
