//! One call as the host takes it. Values only; never runs.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::modules::Module;

/// One call of a function.
#[derive(Debug, Clone)]
pub struct Job {
    pub module: Module,
    /// The guest's stdin.
    pub payload: Bytes,
    /// The guest's whole environment; nothing is inherited from the process.
    pub environment: Vec<(String, String)>,
    /// The guest's arguments; the first is its own name.
    pub arguments: Vec<String>,
    /// Maximum linear memory of the guest, in units of 1,048,576 bytes.
    pub memory_mb: u32,
    /// Timeout of the call, `waited` included; the guest gets the rest.
    pub timeout: Duration,
    /// Time that the caller waited for the module to be fetched and compiled; zero if it was ready. It is reported as
    /// the cold start and is part of the timeout.
    pub waited: Duration,
    /// Maximum bytes of stdout; a guest that writes more is stopped.
    pub output_limit_bytes: usize,
    /// Stops the guest when it turns true. A watch without a sender lets it run.
    pub cancelled: watch::Receiver<bool>,
    /// Length in bytes of the kept end of stderr; a guest that writes more is not stopped.
    pub log_limit_bytes: usize,
}
