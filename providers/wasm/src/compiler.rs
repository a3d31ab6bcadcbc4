//! The compiler beside the market: each module in a child process that can be killed, in turns, within limits.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::compile::{CompileLimits, MODULE_FAILED, compile, validate};
use crate::compiler_slots::{CompilerSlot, CompilerSlots};
use crate::module_error::ModuleError;
use crate::progress::CompileProgress;
use crate::turns::{QueueFull, Reservation, Turn, Turns};

/// CPU time limit: a base, and an addition for each MiB of the module.
const CPU_SECONDS: u64 = 5;
const CPU_SECONDS_PER_MIB: u64 = 8;
/// Memory limit: a base, and an addition for each byte of the module.
const MEMORY_BYTES: u64 = 1 << 30;
const MEMORY_PER_BYTE: u64 = 64;
/// Wall-clock limit, as a multiple of the CPU limit. Children run at low priority, and a killed one starts over at the
/// next call: with a lower limit none might finish on a busy machine.
const WALL_PER_CPU: u32 = 60;
/// Maximum bytes of an artefact; a longer one cannot be opened.
const ARTEFACT_MAX_BYTES: u64 = 1 << 30;
const SIGABRT: i32 = rustix::process::Signal::ABORT.as_raw();
const SIGXCPU: i32 = rustix::process::Signal::XCPU.as_raw();
/// Exit code of a child that panicked: the module found a fault of the compiler.
const PANICKED: i32 = 101;
/// Bytes of a child's error that are kept.
const ERROR_MAX_BYTES: u64 = 4096;

/// The compiler of a runtime.
pub(crate) struct Compiler {
    /// A program that compiles as a child process; none: this process does.
    program: Option<PathBuf>,
    turns: Turns,
    slots: CompilerSlots,
}

/// A reserved place in the compiler's queue, for one module of an account, until it is dropped.
pub struct CompilerReservation {
    reservation: Reservation,
    account: String,
}

/// The right to compile one module, until it is dropped.
pub(crate) struct CompilerTurn {
    // Before the turn, whose end wakes the next one.
    _slot: CompilerSlot,
    _turn: Turn,
}

/// Returns the limits for a module of so many bytes.
pub(crate) fn limits(bytes: usize) -> CompileLimits {
    let bytes = bytes as u64;
    CompileLimits {
        cpu_seconds: CPU_SECONDS + bytes * CPU_SECONDS_PER_MIB / (1 << 20),
        memory_bytes: MEMORY_BYTES + bytes * MEMORY_PER_BYTE,
    }
}

impl Compiler {
    /// `at_once` is the maximum number of children, of all processes that share `directory`.
    pub(crate) fn new(program: Option<PathBuf>, directory: Option<&Path>, at_once: usize) -> Compiler {
        Compiler { program, turns: Turns::new(at_once), slots: CompilerSlots::new(directory, at_once) }
    }

    /// Reserves a place in the queue. Refuses if the account's quota or the queue's is used up.
    pub(crate) fn reserve(&self, account: &str) -> Result<CompilerReservation, ModuleError> {
        let reservation = self.turns.reserve(account).map_err(|QueueFull| ModuleError::QueueFull)?;
        Ok(CompilerReservation { reservation, account: account.to_owned() })
    }

    /// Waits until a module of so many bytes may be compiled.
    pub(crate) async fn wait(
        &self,
        reservation: CompilerReservation,
        bytes: usize,
    ) -> Result<CompilerTurn, ModuleError> {
        let CompilerReservation { reservation, account } = reservation;
        let turn = reservation.wait(bytes).await.map_err(|QueueFull| ModuleError::QueueFull)?;
        Ok(CompilerTurn { _slot: self.slots.take(&account).await, _turn: turn })
    }

    /// Compiles a module whose turn it is. Dropping the future kills the child.
    pub(crate) async fn compile(
        &self,
        wasm: Bytes,
        _turn: &CompilerTurn,
        progress: &CompileProgress,
    ) -> Result<Vec<u8>, ModuleError> {
        match &self.program {
            Some(program) => {
                // At idle priority first. On a busy machine an idle child gets no CPU time, so it starts again.
                let compiled = tokio::select! {
                    biased;
                    compiled = in_child(program, &["--idle"], &wasm, progress) => compiled,
                    () = progress.starved() => in_child(program, &[], &wasm, progress).await,
                };
                progress.set_child(None);
                compiled
            }
            None => {
                let compiling = spawn_blocking(move || {
                    validate(&wasm).map_err(ModuleError::NotWebAssembly)?;
                    compile(&wasm).map_err(ModuleError::Compiler)
                });
                compiling.await.map_err(|error| ModuleError::Compiler(error.to_string()))?
            }
        }
    }
}

async fn in_child(
    program: &PathBuf,
    flags: &[&str],
    wasm: &[u8],
    progress: &CompileProgress,
) -> Result<Vec<u8>, ModuleError> {
    let limits = limits(wasm.len());
    let within = Duration::from_secs(limits.cpu_seconds) * WALL_PER_CPU;
    let broke = |error: std::io::Error| ModuleError::Host(format!("the compiler's process: {error}"));
    let mut child = Command::new(program)
        .arg("compile-module")
        .args(["--cpu-seconds", &limits.cpu_seconds.to_string()])
        .args(["--memory-bytes", &limits.memory_bytes.to_string()])
        .args(flags)
        .env_clear()
        // The allocator may otherwise commit 1 GiB at once, which counts against the memory limit.
        .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(broke)?;
    progress.set_child(child.id());
    let (Some(mut input), Some(output), Some(error)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(ModuleError::Host("the compiler's process has no pipes".to_owned()));
    };
    let mut output = output.take(ARTEFACT_MAX_BYTES);
    let (mut artefact, mut message) = (Vec::new(), Vec::new());
    let mut error = error.take(ERROR_MAX_BYTES);
    let write = async {
        // A child that fails reads no more; its end says why.
        input.write_all(wasm).await.ok();
        drop(input);
    };
    let work = async {
        let (_, read, said) = tokio::join!(write, output.read_to_end(&mut artefact), error.read_to_end(&mut message));
        read.and(said)?;
        child.wait().await
    };
    match timeout(within, work).await {
        // The machine is busy: it says nothing about the module.
        Err(_) => Err(ModuleError::Interrupted),
        Ok(Err(error)) => Err(broke(error)),
        Ok(Ok(status)) if status.success() => Ok(artefact),
        Ok(Ok(status)) => match status.signal() {
            // Over its CPU time, or out of memory.
            Some(SIGXCPU | SIGABRT) => Err(ModuleError::TooComplex { cpu_seconds: limits.cpu_seconds }),
            Some(_) => Err(ModuleError::Interrupted),
            None => {
                // It may be cut within a character.
                let message = String::from_utf8_lossy(&message).trim().to_owned();
                Err(match status.code() {
                    Some(code) if code == MODULE_FAILED.into() || code == PANICKED => ModuleError::Compiler(message),
                    _ => ModuleError::Host(format!("the compiler's process: {status}: {message}")),
                })
            }
        },
    }
}

#[cfg(test)]
#[path = "../tests/unit/compiler.rs"]
mod tests;
