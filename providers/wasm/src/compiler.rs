//! The compiler beside the market: each module in a child process that can be killed, in turns, within limits.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::compile::{CompileLimits, compile};
use crate::module_error::ModuleError;
use crate::turns::Turns;

/// CPU time that any module may take, and each MiB of one more.
const CPU_SECONDS: u64 = 5;
const CPU_SECONDS_OF_MIB: u64 = 8;
/// Memory that any module may take, and each byte of one more.
const MEMORY_BYTES: u64 = 1 << 30;
const MEMORY_OF_BYTE: u64 = 64;
/// Wall time over CPU time: other programs use the machine, too.
const WALL_OF_CPU: u32 = 4;
/// Bytes of a child's error that are kept.
const ERROR_MAX_BYTES: u64 = 4096;

/// The compiler of a runtime.
pub(crate) struct Compiler {
    /// A program that compiles as a child process; none: this process does.
    program: Option<PathBuf>,
    turns: Turns,
}

/// Returns the limits for a module of so many bytes.
pub(crate) fn limits(bytes: usize) -> CompileLimits {
    let bytes = bytes as u64;
    CompileLimits {
        cpu_seconds: CPU_SECONDS + bytes * CPU_SECONDS_OF_MIB / (1 << 20),
        memory_bytes: MEMORY_BYTES + bytes * MEMORY_OF_BYTE,
    }
}

impl Compiler {
    pub(crate) fn new(program: Option<PathBuf>, at_once: usize) -> Compiler {
        Compiler { program, turns: Turns::new(at_once) }
    }

    /// Compiles a module of an account, when it is its turn. Dropping the future kills the child.
    pub(crate) async fn compile(&self, wasm: Bytes, account: &str) -> Result<Vec<u8>, ModuleError> {
        let queued = self.turns.wait(account, wasm.len()).await;
        let turn = queued.map_err(|_| ModuleError::Compiler("too many modules wait to be compiled".to_owned()))?;
        let compiled = match &self.program {
            Some(program) => in_child(program, &wasm).await,
            None => {
                let compiling = spawn_blocking(move || compile(&wasm));
                compiling
                    .await
                    .map_err(|error| ModuleError::Compiler(error.to_string()))?
                    .map_err(ModuleError::Compiler)
            }
        };
        drop(turn);
        compiled
    }
}

async fn in_child(program: &PathBuf, wasm: &[u8]) -> Result<Vec<u8>, ModuleError> {
    let limits = limits(wasm.len());
    let within = Duration::from_secs(limits.cpu_seconds) * WALL_OF_CPU;
    let broke = |error: std::io::Error| ModuleError::Compiler(format!("the compiler's process: {error}"));
    let mut child = Command::new(program)
        .arg("compile-module")
        .args(["--cpu-seconds", &limits.cpu_seconds.to_string()])
        .args(["--memory-bytes", &limits.memory_bytes.to_string()])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(broke)?;
    let (Some(mut input), Some(mut output), Some(error)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(ModuleError::Compiler("the compiler's process has no pipes".to_owned()));
    };
    let (mut artefact, mut message) = (Vec::new(), String::new());
    let mut error = error.take(ERROR_MAX_BYTES);
    let write = async {
        // A child that fails reads no more; its end says why.
        input.write_all(wasm).await.ok();
        drop(input);
    };
    let work = async {
        let (_, read, said) =
            tokio::join!(write, output.read_to_end(&mut artefact), error.read_to_string(&mut message));
        read.and(said)?;
        child.wait().await
    };
    match timeout(within, work).await {
        Err(_) => Err(ModuleError::TooComplex { cpu_seconds: limits.cpu_seconds }),
        Ok(Err(error)) => Err(broke(error)),
        Ok(Ok(status)) if status.success() => Ok(artefact),
        // Ended by a signal: over a limit.
        Ok(Ok(status)) if status.code().is_none() => Err(ModuleError::TooComplex { cpu_seconds: limits.cpu_seconds }),
        Ok(Ok(_)) => Err(ModuleError::Compiler(message.trim().to_owned())),
    }
}
