//! The imports of modules: WASI preview 1. Never anything else.

use wasmtime::{Engine, Linker};
use wasmtime_wasi::p1;

use crate::guest::Guest;

const PREVIEW_1: &str = "wasi_snapshot_preview1";

/// `errno::notsock` of WASI preview 1.
const NOT_A_SOCKET: i32 = 57;

pub(crate) fn preview_1(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    p1::add_to_linker_async(&mut linker, Guest::wasi)?;
    refuse_sockets(&mut linker)?;
    Ok(linker)
}

/// Refuses every socket. The library does so too, but logs a warning for each call, by which a guest could fill the
/// operator's log.
fn refuse_sockets(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap(PREVIEW_1, "sock_accept", |_: i32, _: i32, _: i32| NOT_A_SOCKET)?;
    linker.func_wrap(PREVIEW_1, "sock_recv", |_: i32, _: i32, _: i32, _: i32, _: i32, _: i32| NOT_A_SOCKET)?;
    linker.func_wrap(PREVIEW_1, "sock_send", |_: i32, _: i32, _: i32, _: i32, _: i32| NOT_A_SOCKET)?;
    linker.func_wrap(PREVIEW_1, "sock_shutdown", |_: i32, _: i32| NOT_A_SOCKET)?;
    linker.allow_shadowing(false);
    Ok(())
}
