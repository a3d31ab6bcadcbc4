//! What one call asks of the host and what it gives back. Values only: nothing here runs.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::modules::Module;

/// One call of a function.
#[derive(Debug, Clone)]
pub struct Job {
    pub module: Module,
    /// What the guest reads from stdin.
    pub payload: Bytes,
    /// The guest's whole environment: nothing is inherited from the process.
    pub environment: Vec<(String, String)>,
    /// The guest's arguments, the first being its own name.
    pub arguments: Vec<String>,
    /// The most linear memory the guest may have, in units of 1,048,576 bytes.
    pub memory_mb: u32,
    /// How long the call may take, `waited` included: the guest gets what is left of it.
    pub timeout: Duration,
    /// How long the caller already waited for the module to be fetched and compiled: zero if it was
    /// there. It is reported as the cold start and is part of the timeout.
    pub waited: Duration,
    /// The most bytes of stdout; a guest that writes more is stopped.
    pub output_limit_bytes: usize,
    /// Turned true, it stops the guest; one that nobody can turn any more lets it run.
    pub cancelled: watch::Receiver<bool>,
    /// How many of the last bytes of stderr are kept; a guest that writes more is not stopped.
    pub log_limit_bytes: usize,
}

/// How a call ended and what it used.
#[derive(Debug, Clone)]
pub struct Execution {
    pub outcome: Outcome,
    /// What the guest wrote to stdout, up to the limit, whatever the outcome.
    pub output: Bytes,
    /// The last bytes of what the guest wrote to stderr.
    pub log: Bytes,
    pub usage: Usage,
}

/// How the guest ended. All of these are executed answers, not failures of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It returned, or exited with code 0.
    Ok,
    /// It exited with this code, 1 to 125: preview 1 traps on any other.
    Exit(i32),
    /// It did what WebAssembly or WASI does not allow; the message says what.
    Trap(String),
    /// It was refused memory above its cap, and then trapped or exited with a code other than 0.
    OutOfMemory,
    /// It was stopped at its timeout.
    Timeout,
    /// It was stopped because nobody waits for it any more.
    Cancelled,
    /// It was stopped at the write that passed its output limit.
    OutputLimit,
}

/// What a call used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// From the making of the instance to its end, in microseconds, with the pauses of a CPU share.
    pub wall_us: u64,
    /// CPU time of the guest's thread over the same span, in microseconds.
    pub cpu_us: u64,
    /// The time this call waited for its module, in microseconds; 0 for one already compiled. Making
    /// the instance is part of the wall time, because a module's start section runs in it.
    pub cold_us: u64,
    /// The most linear memory the guest had, in bytes.
    pub peak_memory_bytes: u64,
}

/// The host failed to run the guest, or to say how it ended.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The guest was not started.
    #[error("cannot start the guest: {0}")]
    NotStarted(#[source] Box<dyn Error + Send + Sync>),
    /// The thread ended without an answer; the guest may have run.
    #[error("the thread of the guest ended without an answer")]
    Lost,
}
