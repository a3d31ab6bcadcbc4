//! The priority of a thread among the others of its machine: its share of the processors (policy and nice value), and
//! how soon it runs after a wake-up (time slice).
//!
//! From Linux 6.12 on, a thread that wakes up interrupts one with a longer time slice. Otherwise it waits until that
//! one has used its slice, or for the next timer tick, up to 10 ms. A call passes six threads on its way, so that such
//! waits add up. Older kernels ignore the slice. See docs/decisions/0023.
//!
//! Never lowers a nice value, which needs privileges.

use std::io;
use std::sync::OnceLock;
use std::time::Duration;

/// A kind of thread, by the urgency of its work, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Passes calls on, or writes what they wait for.
    Serving,
    /// Runs a guest that has run for a few milliseconds at most.
    ShortGuest,
    /// Runs a guest that has run for longer.
    LongGuest,
    /// No call waits for its work.
    Background,
    /// As `Background`, and only on processors that no other thread wants: a thread that wakes up finds such a
    /// processor as if it were idle.
    Idle,
}

impl Priority {
    /// Nice value above that of a thread that serves.
    const fn nice(self) -> i32 {
        match self {
            Priority::Serving => 0,
            Priority::ShortGuest | Priority::LongGuest => 5,
            Priority::Background | Priority::Idle => 10,
        }
    }

    /// Time slice, within Linux's bounds of 0.1 and 100 ms.
    const fn slice(self) -> Duration {
        match self {
            Priority::Serving => Duration::from_micros(100),
            Priority::ShortGuest => Duration::from_micros(200),
            Priority::LongGuest => Duration::from_millis(5),
            Priority::Background | Priority::Idle => Duration::from_millis(50),
        }
    }
}

/// Gives the calling thread this priority, which threads and processes that it starts inherit. Nice values count from
/// that of the process at its first call. Keeps a nice value that is higher, and a policy other than the normal ones.
/// An error is harmless: the thread keeps what it has.
pub fn set(priority: Priority) -> io::Result<()> {
    static BASE: OnceLock<i32> = OnceLock::new();
    let mut attributes = own_attributes()?;
    if ![SCHED_NORMAL, SCHED_BATCH].contains(&attributes.sched_policy) {
        return Ok(());
    }
    let nice = BASE.get_or_init(|| attributes.sched_nice) + priority.nice();
    attributes.sched_nice = attributes.sched_nice.max(nice.min(NICE_MAX));
    attributes.sched_runtime = u64::try_from(priority.slice().as_nanos()).unwrap_or(u64::MAX);
    set_own_attributes(&attributes)?;
    if priority == Priority::Idle {
        // After the rest, which the kernel takes under the normal policies only.
        attributes.sched_policy = SCHED_IDLE;
        set_own_attributes(&attributes)?;
    }
    Ok(())
}

const NICE_MAX: i32 = 19;
const SCHED_NORMAL: u32 = libc::SCHED_OTHER as u32;
const SCHED_BATCH: u32 = libc::SCHED_BATCH as u32;
const SCHED_IDLE: u32 = libc::SCHED_IDLE as u32;
/// The calling thread.
const OWN: libc::pid_t = 0;
const NO_FLAGS: libc::c_uint = 0;
const SIZE: u32 = size_of::<libc::sched_attr>() as u32;

#[allow(unsafe_code, reason = "rustix has no time slices; see sched_setattr(2)")]
fn own_attributes() -> io::Result<libc::sched_attr> {
    let mut attributes = libc::sched_attr {
        size: SIZE,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel writes at most `SIZE` bytes to a value of that size, all of whose fields are integers.
    let failed = unsafe { libc::syscall(libc::SYS_sched_getattr, OWN, &raw mut attributes, SIZE, NO_FLAGS) };
    if failed == 0 { Ok(attributes) } else { Err(io::Error::last_os_error()) }
}

#[allow(unsafe_code, reason = "rustix has no time slices; see sched_setattr(2)")]
fn set_own_attributes(attributes: &libc::sched_attr) -> io::Result<()> {
    // SAFETY: the kernel reads `attributes.size` bytes, which is the size of the value.
    let failed = unsafe { libc::syscall(libc::SYS_sched_setattr, OWN, &raw const *attributes, NO_FLAGS) };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
#[path = "../tests/unit/lib.rs"]
mod tests;
