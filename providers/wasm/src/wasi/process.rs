//! A guest's view of its process: arguments, environment, clocks, random bytes, and the exit. Never the host's own.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_getres};
use wasmtime::{Caller, Linker};

use super::memory::{Memory, Result, Stop, behind, element};
use super::{BAD_DESCRIPTOR, INVALID, NOT_SUPPORTED, PREVIEW_1, Process, call};

/// The most random bytes of one host call, which no epoch interrupts: about 10 ms.
const RANDOM_BYTES: u32 = 1 << 20;

/// Codes that a guest may exit with.
const EXIT_CODES: std::ops::Range<i32> = 0..126;

/// Preview 1's clocks; the two of CPU time are not told.
const REAL_TIME: i32 = 0;
pub(super) const MONOTONIC: i32 = 1;
const CLOCKS: std::ops::Range<i32> = 0..4;

/// Preview 1's signals.
const SIGNALS: std::ops::Range<i32> = 0..31;

/// A guest's exit with this code.
#[derive(Debug, thiserror::Error)]
#[error("Exited with i32 exit status {0}")]
pub(crate) struct Exit(pub(crate) i32);

pub(super) fn link<T: Process>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.func_wrap(PREVIEW_1, "args_sizes_get", |host: Caller<'_, T>, count: i32, bytes: i32| {
        call(host, |wasi, memory| put_sizes(memory, wasi.arguments(), count, bytes))
    })?;
    linker.func_wrap(PREVIEW_1, "args_get", |host: Caller<'_, T>, pointers: i32, bytes: i32| {
        call(host, |wasi, memory| put_texts(memory, wasi.arguments(), pointers, bytes))
    })?;
    linker.func_wrap(PREVIEW_1, "environ_sizes_get", |host: Caller<'_, T>, count: i32, bytes: i32| {
        call(host, |wasi, memory| put_sizes(memory, wasi.environment(), count, bytes))
    })?;
    linker.func_wrap(PREVIEW_1, "environ_get", |host: Caller<'_, T>, pointers: i32, bytes: i32| {
        call(host, |wasi, memory| put_texts(memory, wasi.environment(), pointers, bytes))
    })?;
    linker.func_wrap(PREVIEW_1, "clock_res_get", |host: Caller<'_, T>, clock: i32, resolution: i32| {
        call(host, |_, memory| {
            let clock = if known(clock)? == REAL_TIME { ClockId::Realtime } else { ClockId::Monotonic };
            let found = clock_getres(clock);
            let nanoseconds = found.tv_sec.unsigned_abs() * 1_000_000_000 + found.tv_nsec.unsigned_abs();
            memory.write(resolution as u32, nanoseconds.to_le_bytes())
        })
    })?;
    linker.func_wrap(PREVIEW_1, "clock_time_get", |host: Caller<'_, T>, clock: i32, _precision: i64, time: i32| {
        call(host, |wasi, memory| {
            let now = if known(clock)? == REAL_TIME { real_time()? } else { wasi.monotonic() };
            memory.write(time as u32, now.to_le_bytes())
        })
    })?;
    linker.func_wrap(PREVIEW_1, "random_get", |host: Caller<'_, T>, at: i32, length: i32| {
        call(host, |_, memory| random(memory, at as u32, length as u32))
    })?;
    linker.func_wrap(PREVIEW_1, "sched_yield", |host: Caller<'_, T>| call(host, |_, _| Ok(())))?;
    linker.func_wrap(PREVIEW_1, "proc_raise", |host: Caller<'_, T>, signal: i32| {
        let code = if SIGNALS.contains(&signal) { NOT_SUPPORTED } else { INVALID };
        call(host, |_, _| Err(Stop::Errno(code)))
    })?;
    linker.func_wrap(PREVIEW_1, "proc_exit", |host: Caller<'_, T>, code: i32| {
        call(host, |_, _| Err(Stop::Trap(exit(code)))).map(drop)
    })?;
    Ok(())
}

/// Refuses clocks that preview 1 does not know, and those of CPU time.
fn known(clock: i32) -> Result<i32> {
    match clock {
        REAL_TIME | MONOTONIC => Ok(clock),
        _ if CLOCKS.contains(&clock) => Err(Stop::Errno(BAD_DESCRIPTOR)),
        _ => Err(Stop::Errno(INVALID)),
    }
}

/// Returns the nanoseconds since 1970, UTC.
pub(super) fn real_time() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| Stop::Trap(error.into()))?;
    u64::try_from(since.as_nanos()).map_err(|error| Stop::Trap(error.into()))
}

fn put_sizes(memory: &mut Memory<'_>, texts: &[String], count: i32, bytes: i32) -> Result<()> {
    let size = |length: usize| u32::try_from(length).map_err(|error| Stop::Trap(error.into()));
    let total = texts.iter().map(|text| text.len() + 1).sum();
    memory.write(count as u32, size(texts.len())?.to_le_bytes())?;
    memory.write(bytes as u32, size(total)?.to_le_bytes())
}

/// Writes the texts, each ended by a zero byte, and the address of each.
fn put_texts(memory: &mut Memory<'_>, texts: &[String], pointers: i32, bytes: i32) -> Result<()> {
    let mut at = bytes as u32;
    for (index, text) in (0..).zip(texts) {
        let ended = text.len() as u32 + 1;
        memory.write(element(pointers as u32, index, 4)?, at.to_le_bytes())?;
        let place = memory.slice_mut(at, ended)?;
        place[..text.len()].copy_from_slice(text.as_bytes());
        place[text.len()] = 0;
        at = behind(at, ended)?;
    }
    Ok(())
}

fn random(memory: &mut Memory<'_>, at: u32, length: u32) -> Result<()> {
    if length > RANDOM_BYTES {
        let refused = wasmtime::format_err!("requested len {length} exceeds limit {RANDOM_BYTES}");
        return Err(Stop::Trap(refused));
    }
    getrandom::fill(memory.slice_mut(at, length)?).map_err(|error| Stop::Trap(error.into()))
}

fn exit(code: i32) -> wasmtime::Error {
    if EXIT_CODES.contains(&code) {
        Exit(code).into()
    } else {
        wasmtime::Error::msg("exit with invalid exit status outside of [0..126)")
    }
}
