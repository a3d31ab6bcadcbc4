//! The compilation of one module to an artefact, in this process or as the whole work of a child process.
//!
//! Owns the part of the engine's settings on which artefacts depend. Never makes an instance.

use std::io::{self, Read, Write};

use merit_priority::Priority;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Resource, Rlimit, setrlimit};
use wasmtime::{Config, Engine};

/// Address space of one guest's memory in bytes, reserved and not committed: all that 32 bits can address, so that
/// compiled code needs no bounds checks.
pub(crate) const MEMORY_RESERVATION_BYTES: usize = 4 << 30;

/// Stack of the thread that waits for the reader's end.
const WATCHER_STACK_BYTES: usize = 64 << 10;

/// The bounds of a child process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    pub cpu_seconds: u64,
    /// Private memory in bytes.
    pub memory_bytes: u64,
}

/// Returns the settings on which an artefact depends: those of every engine that makes or uses one.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config
        .memory_reservation(MEMORY_RESERVATION_BYTES as u64)
        .epoch_interruption(true)
        // One pool slot holds one memory of 32 bits.
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        // A trap's message is enough; the guest would choose the content and number of frames.
        .wasm_backtrace_max_frames(None);
    config
}

/// Refuses bytes that are no WebAssembly module of this host. The error is for their owner.
pub(crate) fn validate(wasm: &[u8]) -> Result<(), String> {
    let failed = |error: wasmtime::Error| format!("{error:#}");
    let engine = Engine::new(&config()).map_err(failed)?;
    wasmtime::Module::validate(&engine, wasm).map_err(failed)
}

/// Compiles a module. The error is for its owner.
pub(crate) fn compile(wasm: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |error: wasmtime::Error| format!("{error:#}");
    Engine::new(&config()).map_err(failed)?.precompile_module(wasm).map_err(failed)
}

/// Exit code of a child process whose module cannot be compiled. All other failures are the host's.
pub const MODULE_FAILED: u8 = 3;

/// A child process that made no artefact.
#[derive(Debug, thiserror::Error)]
pub enum CompileFailure {
    /// The text is for the module's owner.
    #[error("{0}")]
    Module(String),
    #[error(transparent)]
    Host(#[from] io::Error),
}

/// Compiles the module on standard input to an artefact on standard output, within `limits`: the whole work of a child
/// process. Ends the process when nobody reads its output any more, as after a
/// `kill -9` of its host.
pub fn compile_child(limits: CompileLimits, priority: Priority) -> Result<(), CompileFailure> {
    set_limits(limits)?;
    // Before the priority, so that it runs on a busy machine.
    std::thread::Builder::new().stack_size(WATCHER_STACK_BYTES).spawn(end_with_reader)?;
    // A failure is harmless.
    merit_priority::set(priority).ok();
    let mut wasm = Vec::new();
    io::stdin().lock().read_to_end(&mut wasm)?;
    let artefact = compile(&wasm).map_err(CompileFailure::Module)?;
    Ok(io::stdout().lock().write_all(&artefact)?)
}

fn set_limits(limits: CompileLimits) -> io::Result<()> {
    let limit = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    // The first one sends SIGXCPU, by which the host knows the cause.
    let cpu = Rlimit { current: Some(limits.cpu_seconds), maximum: Some(limits.cpu_seconds + 1) };
    setrlimit(Resource::Cpu, cpu)?;
    setrlimit(Resource::Data, limit(limits.memory_bytes))?;
    Ok(setrlimit(Resource::Core, limit(0))?)
}

/// Waits until the pipe of standard output has no reader, and ends the process.
fn end_with_reader() {
    let output = io::stdout();
    // With no events asked for, it returns with the error of the pipe alone (poll(2), POLLERR).
    while poll(&mut [PollFd::new(&output, PollFlags::empty())], None).is_err() {}
    std::process::exit(1);
}
