//! WASI preview 1, as much of it as a guest gets: stdio, arguments, environment, clocks and random bytes.
//!
//! A guest never gets a directory, a file or a socket: a call on one answers as for a descriptor that is not open.
//! Nothing else may be imported. The source is <https://github.com/WebAssembly/WASI/blob/main/legacy/preview1>.

mod files;
mod memory;
mod poll;
mod process;
mod streams;

use wasmtime::{Caller, Engine, Extern, Linker, bail};

use memory::{Memory, Result, Stop};
pub(crate) use process::Exit;
pub(crate) use streams::Wasi;

const PREVIEW_1: &str = "wasi_snapshot_preview1";

// Codes of preview 1's `errno`.
const BAD_DESCRIPTOR: i32 = 8;
const ILLEGAL_BYTES: i32 = 25;
const INTERRUPTED: i32 = 27;
const INVALID: i32 = 28;
const NO_MEMORY: i32 = 48;
const NO_DIRECTORY: i32 = 54;
const NOT_A_SOCKET: i32 = 57;
const NOT_SUPPORTED: i32 = 58;
const CANNOT_SEEK: i32 = 70;

/// The data of a store whose guest uses preview 1.
pub(crate) trait Process: AsMut<Wasi> + Send + 'static {}

impl<T: AsMut<Wasi> + Send + 'static> Process for T {}

/// Returns a linker with all that a module may import.
pub(crate) fn preview_1<T: Process>(engine: &Engine) -> wasmtime::Result<Linker<T>> {
    let mut linker = Linker::new(engine);
    process::link(&mut linker)?;
    streams::link(&mut linker)?;
    poll::link(&mut linker)?;
    files::link(&mut linker)?;
    Ok(linker)
}

/// Runs a host call on the guest's memory. Returns its `errno`, 0 for success.
fn call<T: Process>(
    mut caller: Caller<'_, T>,
    body: impl FnOnce(&mut Wasi, &mut Memory<'_>) -> Result<()>,
) -> wasmtime::Result<i32> {
    let (memory, wasi) = parts(&mut caller)?;
    errno(body(wasi, &mut Memory::new(memory)))
}

fn parts<'a, T: Process>(caller: &'a mut Caller<'_, T>) -> wasmtime::Result<(&'a mut [u8], &'a mut Wasi)> {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        bail!("missing required memory export");
    };
    let (memory, guest) = memory.data_and_store_mut(caller);
    Ok((memory, guest.as_mut()))
}

fn errno(ended: Result<()>) -> wasmtime::Result<i32> {
    match ended {
        Ok(()) => Ok(0),
        Err(Stop::Errno(code)) => Ok(code),
        Err(Stop::Trap(error)) => Err(error),
    }
}

/// Refuses an argument with bits that preview 1 does not know.
fn flags(given: i32, known: i32) -> Result<()> {
    if given & !known == 0 { Ok(()) } else { Err(Stop::Errno(INVALID)) }
}
