//! The measured process: started on its core, measured by what the kernel says of it, killed by its id at the end.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::process::{Child, Command};

use crate::invoke_bench::{InvokeBenchError, SetupError};

/// The core of what is measured, and that of load and provider.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) measured: usize,
    pub(crate) rest: usize,
}

impl Cores {
    /// Two of the cores that this thread may use; none if there is only one.
    pub(crate) fn choose() -> Result<Option<Cores>, SetupError> {
        let allowed = sched_getaffinity(None).map_err(|error| SetupError::Cores(error.into()))?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        Ok(cores.next().zip(cores.next()).map(|(measured, rest)| Cores { measured, rest }))
    }
}

/// Pins this thread, and what it starts from now on, to a core.
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
    /// Starts a program on the measured core; what it says of itself goes to `log`.
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

    /// User and system time of all its threads since it started, to the kernel's tick (10 ms as a rule).
    pub(crate) fn cpu_time(&self) -> Result<Duration, InvokeBenchError> {
        let process = self.process;
        let unreadable = |source| InvokeBenchError::CpuTime { process, source };
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).map_err(unreadable)?;
        let ticks = parse_ticks(&stat).ok_or_else(|| unreadable(std::io::ErrorKind::InvalidData.into()))?;
        Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }

    /// Kills it and waits until it is gone.
    pub(crate) async fn end(mut self) {
        // It may have ended by itself, which is as good.
        drop(self.child.kill().await);
    }
}

/// utime + stime of a line of /proc/PID/stat (proc(5): fields 14 and 15; the name before them may hold spaces).
fn parse_ticks(stat: &str) -> Option<u64> {
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut field = || fields.next()?.parse::<u64>().ok();
    field()?.checked_add(field()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_the_fourteenth_and_fifteenth_field_whatever_the_name_is() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 120 34 0 0 20 0 1";
        assert_eq!(parse_ticks(&format!("77 (merit) {rest}")), Some(154));
        assert_eq!(parse_ticks(&format!("77 (a) b (c) {rest}")), Some(154));
        assert_eq!(parse_ticks("77 (merit) S 1 2"), None);
    }
}
