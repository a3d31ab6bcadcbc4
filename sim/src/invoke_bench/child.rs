//! The measured process: started on its core, measured by the kernel's accounts, killed by its id at the end. Never
//! measures latency.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::process::{Child, Command};

use crate::invoke_bench::{InvokeBenchError, SetupError};

/// The core of the measured process, and that of load and provider.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) measured: usize,
    pub(crate) rest: usize,
}

impl Cores {
    /// Chooses two of the cores that this thread may use. Returns `None` if there is only one.
    pub(crate) fn choose() -> Result<Option<Cores>, SetupError> {
        let allowed = sched_getaffinity(None).map_err(|error| SetupError::Cores(error.into()))?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        Ok(cores.next().zip(cores.next()).map(|(measured, rest)| Cores { measured, rest }))
    }
}

/// Pins this thread, and the threads that it starts from now on, to a core.
pub(crate) fn pin(core: usize) -> Result<(), SetupError> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| SetupError::Cores(error.into()))
}

/// A process that is killed when it is dropped.
pub(crate) struct Measured {
    pub(crate) child: Child,
    pub(crate) process: u32,
}

impl Measured {
    /// Starts a program on the measured core, with its output in `log`.
    pub(crate) fn start(mut command: Command, cores: Option<Cores>, log: &Path) -> Result<Measured, SetupError> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let log = std::fs::File::create(log).map_err(SetupError::Directory)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        if let Some(cores) = cores {
            pin(cores.measured)?;
        }
        let started = command.spawn();
        if let Some(cores) = cores {
            pin(cores.rest)?;
        }
        let child = started.map_err(|error| SetupError::Start(program.clone(), error))?;
        let process = child.id().ok_or_else(|| SetupError::Start(program, std::io::ErrorKind::NotFound.into()))?;
        Ok(Measured { child, process })
    }

    /// Reads the user and system time of all its threads since its start, to the kernel's tick (10 ms as a rule).
    pub(crate) fn cpu_time(&self) -> Result<Duration, InvokeBenchError> {
        let process = self.process;
        let unreadable = |source| InvokeBenchError::CpuTime { process, source };
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).map_err(unreadable)?;
        let ticks = parse_ticks(&stat).ok_or_else(|| unreadable(std::io::ErrorKind::InvalidData.into()))?;
        Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }

    /// Kills it and waits for its end.
    pub(crate) async fn end(mut self) {
        // It may have ended by itself.
        drop(self.child.kill().await);
    }
}

/// Reads utime + stime of a line of /proc/PID/stat (proc(5): fields 14 and 15; the name before them may hold spaces).
fn parse_ticks(stat: &str) -> Option<u64> {
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut field = || fields.next()?.parse::<u64>().ok();
    field()?.checked_add(field()?)
}

#[cfg(test)]
#[path = "../../tests/unit/invoke_bench/child.rs"]
mod tests;
