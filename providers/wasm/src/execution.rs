//! The result of one call: the guest's end, output and usage, or the host's failure. Values only.

use std::error::Error;

use bytes::Bytes;

/// A finished run of a guest.
#[derive(Debug, Clone)]
pub struct GuestRun {
    pub outcome: GuestOutcome,
    /// The guest's stdout, up to the limit, at any outcome.
    pub output: Bytes,
    /// The end of the guest's stderr.
    pub log: Bytes,
    pub usage: GuestUsage,
}

/// The end of a guest. Every variant is an executed answer, not a failure of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuestOutcome {
    /// It returned, or exited with code 0.
    Ok,
    /// It exited with this code, 1 to 125: preview 1 traps on any other.
    Exit(i32),
    /// It broke a rule of WebAssembly or WASI, which the message names.
    Trap(String),
    /// It was refused memory above its cap, and then trapped or exited with a code other than 0.
    OutOfMemory,
    /// It was stopped at its timeout.
    Timeout,
    /// It was stopped because its caller has gone away.
    Cancelled,
    /// It was stopped at the write that passed its output limit.
    OutputLimit,
}

/// The usage of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GuestUsage {
    /// Time from the making of the instance to its end, in microseconds, with the pauses of a CPU share.
    pub wall_us: u64,
    /// CPU time of the guest's thread over the same span, in microseconds.
    pub cpu_us: u64,
    /// Time that the call waited for its module, in microseconds; 0 if it was compiled. Making the instance is part of
    /// the wall time, because a module's start section runs in it.
    pub cold_us: u64,
    /// Peak linear memory of the guest in bytes.
    pub peak_memory_bytes: u64,
}

/// The host failed to run the guest, or lost its end.
#[derive(Debug, thiserror::Error)]
pub enum HostFailure {
    /// The guest was not started.
    #[error("cannot start the guest: {0}")]
    NotStarted(#[source] Box<dyn Error + Send + Sync>),
    /// The thread ended without an answer; the guest may have run.
    #[error("the thread of the guest ended without an answer")]
    Lost,
}
