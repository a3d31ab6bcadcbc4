//! What a module may import: WASI preview 1, and nothing else.

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

/// No guest has a socket. The library says so too, but with a warning in the log for each call, which
/// would let a guest fill the operator's log.
fn refuse_sockets(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap(PREVIEW_1, "sock_accept", |_: i32, _: i32, _: i32| NOT_A_SOCKET)?;
    linker.func_wrap(PREVIEW_1, "sock_recv", |_: i32, _: i32, _: i32, _: i32, _: i32, _: i32| NOT_A_SOCKET)?;
    linker.func_wrap(PREVIEW_1, "sock_send", |_: i32, _: i32, _: i32, _: i32, _: i32| NOT_A_SOCKET)?;
    linker.func_wrap(PREVIEW_1, "sock_shutdown", |_: i32, _: i32| NOT_A_SOCKET)?;
    linker.allow_shadowing(false);
    Ok(())
}
