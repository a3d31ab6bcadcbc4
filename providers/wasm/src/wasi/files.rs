//! Calls on files, directories and sockets, none of which a guest has: each is refused as the specification says of a
//! descriptor that is not open.

use wasmtime::{Caller, Linker};

use super::memory::{Memory, Result, Stop};
use super::{BAD_DESCRIPTOR, ILLEGAL_BYTES, INVALID, NO_DIRECTORY, NOT_A_SOCKET, PREVIEW_1, Process, call, flags};

/// Bits that preview 1 knows of each kind of flags.
const DESCRIPTOR_FLAGS: i32 = (1 << 5) - 1;
const LOOKUP_FLAGS: i32 = 1;
const OPEN_FLAGS: i32 = (1 << 4) - 1;
const TIME_FLAGS: i32 = (1 << 4) - 1;
const RIGHTS: i64 = (1 << 30) - 1;

/// Preview 1's kinds of advice.
const ADVICE: std::ops::Range<i32> = 0..6;

pub(super) fn link<T: Process>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    files(linker)?;
    directories(linker)?;
    sockets(linker)
}

fn files<T: Process>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.func_wrap(PREVIEW_1, "fd_advise", |host: Caller<'_, T>, _: i32, _: i64, _: i64, advice: i32| {
        call(host, |_, _| if ADVICE.contains(&advice) { no_file() } else { Err(Stop::Errno(INVALID)) })
    })?;
    linker.func_wrap(PREVIEW_1, "fd_allocate", |host: Caller<'_, T>, _: i32, _: i64, _: i64| {
        call(host, |_, _| no_file())
    })?;
    linker.func_wrap(PREVIEW_1, "fd_datasync", |host: Caller<'_, T>, _: i32| call(host, |_, _| no_file()))?;
    linker.func_wrap(PREVIEW_1, "fd_sync", |host: Caller<'_, T>, _: i32| call(host, |_, _| no_file()))?;
    linker.func_wrap(PREVIEW_1, "fd_fdstat_set_flags", |host: Caller<'_, T>, _: i32, given: i32| {
        call(host, |_, _| flags(given, DESCRIPTOR_FLAGS).and(no_file()))
    })?;
    linker.func_wrap(PREVIEW_1, "fd_fdstat_set_rights", |host: Caller<'_, T>, _: i32, base: i64, passed_on: i64| {
        call(host, |_, _| rights(base, passed_on).and(no_file()))
    })?;
    linker.func_wrap(PREVIEW_1, "fd_filestat_set_size", |host: Caller<'_, T>, _: i32, _: i64| {
        call(host, |_, _| no_file())
    })?;
    linker.func_wrap(
        PREVIEW_1,
        "fd_filestat_set_times",
        |host: Caller<'_, T>, _: i32, _: i64, _: i64, given: i32| call(host, |_, _| times(given).and(no_file())),
    )?;
    Ok(())
}

fn directories<T: Process>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker
        .func_wrap(PREVIEW_1, "fd_prestat_get", |host: Caller<'_, T>, _: i32, _: i32| call(host, |_, _| no_file()))?;
    linker.func_wrap(PREVIEW_1, "fd_prestat_dir_name", |host: Caller<'_, T>, fd: i32, _: i32, _: i32| {
        call(host, |wasi, _| wasi.stream(fd).and(Err(Stop::Errno(NO_DIRECTORY))))
    })?;
    linker.func_wrap(PREVIEW_1, "fd_readdir", |host: Caller<'_, T>, _: i32, _: i32, _: i32, _: i64, _: i32| {
        call(host, |_, _| no_file())
    })?;
    for name in ["path_create_directory", "path_remove_directory", "path_unlink_file"] {
        linker
            .func_wrap(PREVIEW_1, name, |host: Caller<'_, T>, _: i32, _: i32, _: i32| call(host, |_, _| no_file()))?;
    }
    linker.func_wrap(
        PREVIEW_1,
        "path_filestat_get",
        |host: Caller<'_, T>, _: i32, lookup: i32, _: i32, _: i32, _: i32| {
            call(host, |_, _| flags(lookup, LOOKUP_FLAGS).and(no_file()))
        },
    )?;
    linker.func_wrap(
        PREVIEW_1,
        "path_filestat_set_times",
        |host: Caller<'_, T>, _: i32, lookup: i32, _: i32, _: i32, _: i64, _: i64, given: i32| {
            call(host, |_, _| flags(lookup, LOOKUP_FLAGS).and(times(given)).and(no_file()))
        },
    )?;
    linker.func_wrap(
        PREVIEW_1,
        "path_link",
        |host: Caller<'_, T>, _: i32, lookup: i32, _: i32, _: i32, _: i32, _: i32, _: i32| {
            call(host, |_, _| flags(lookup, LOOKUP_FLAGS).and(no_file()))
        },
    )?;
    linker.func_wrap(
        PREVIEW_1,
        "path_open",
        |host: Caller<'_, T>,
         _: i32,
         lookup: i32,
         at: i32,
         length: i32,
         open: i32,
         base: i64,
         passed_on: i64,
         descriptor: i32,
         _: i32| {
            call(host, |_, memory| {
                flags(lookup, LOOKUP_FLAGS)?;
                flags(open, OPEN_FLAGS)?;
                rights(base, passed_on)?;
                flags(descriptor, DESCRIPTOR_FLAGS)?;
                check_text(memory, at as u32, length as u32)?;
                no_file()
            })
        },
    )?;
    linker.func_wrap(
        PREVIEW_1,
        "path_readlink",
        |host: Caller<'_, T>, _: i32, _: i32, _: i32, _: i32, _: i32, _: i32| call(host, |_, _| no_file()),
    )?;
    linker.func_wrap(
        PREVIEW_1,
        "path_rename",
        |host: Caller<'_, T>, _: i32, _: i32, _: i32, _: i32, _: i32, _: i32| call(host, |_, _| no_file()),
    )?;
    linker.func_wrap(PREVIEW_1, "path_symlink", |host: Caller<'_, T>, _: i32, _: i32, _: i32, _: i32, _: i32| {
        call(host, |_, _| no_file())
    })?;
    Ok(())
}

fn sockets<T: Process>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.func_wrap(PREVIEW_1, "sock_accept", |_: i32, _: i32, _: i32| NOT_A_SOCKET)?;
    linker.func_wrap(PREVIEW_1, "sock_recv", |_: i32, _: i32, _: i32, _: i32, _: i32, _: i32| NOT_A_SOCKET)?;
    linker.func_wrap(PREVIEW_1, "sock_send", |_: i32, _: i32, _: i32, _: i32, _: i32| NOT_A_SOCKET)?;
    linker.func_wrap(PREVIEW_1, "sock_shutdown", |_: i32, _: i32| NOT_A_SOCKET)?;
    Ok(())
}

fn no_file() -> Result<()> {
    Err(Stop::Errno(BAD_DESCRIPTOR))
}

fn rights(base: i64, passed_on: i64) -> Result<()> {
    if (base | passed_on) & !RIGHTS == 0 { Ok(()) } else { Err(Stop::Errno(INVALID)) }
}

/// Refuses unknown flags, and a time that is both given and now.
fn times(given: i32) -> Result<()> {
    flags(given, TIME_FLAGS)?;
    let both = |bits: i32| given & bits == bits;
    if both(0b0011) || both(0b1100) { Err(Stop::Errno(INVALID)) } else { Ok(()) }
}

fn check_text(memory: &mut Memory<'_>, at: u32, length: u32) -> Result<()> {
    memory.count(length as usize)?;
    std::str::from_utf8(memory.slice(at, length)?).map_err(|_| Stop::Errno(ILLEGAL_BYTES))?;
    Ok(())
}
