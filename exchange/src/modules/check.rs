//! The check of an uploaded module: valid WebAssembly that every provider's host can run. Never runs or compiles one.

use std::io;

use wasmparser::types::Types;
use wasmparser::{CompositeInnerType, ExternalKind, Parser, Payload, TypeRef, Validator, WasmFeatures};

/// Size limit of a module in bytes, 32 MiB.
pub const MODULE_MAX_BYTES: usize = 32 << 20;
/// The first bytes of every WebAssembly file.
const MAGIC: &[u8] = b"\0asm";
const WASI: &str = "wasi_snapshot_preview1";
/// The language of every provider's WebAssembly host: its second version, and tail calls.
const FEATURES: WasmFeatures = WasmFeatures::WASM2.union(WasmFeatures::TAIL_CALL).union(WasmFeatures::EXTENDED_CONST);
/// The functions of WASI preview 1, as its witx files list them.
const FUNCTIONS: [&str; 46] = [
    "args_get",
    "args_sizes_get",
    "environ_get",
    "environ_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_get",
    "fd_prestat_dir_name",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "sched_yield",
    "random_get",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// A module that was not kept.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    #[error("not a WebAssembly module: {0}")]
    NotWebAssembly(String),
    #[error("this is a WebAssembly component; a module that uses WASI preview 1 is needed")]
    Component,
    #[error("imports {module}.{name}, which WASI preview 1 does not have")]
    Import { module: String, name: String },
    #[error("exports no function `_start`; build it as a WASI preview 1 command")]
    NoStart,
    #[error("exports no memory named `memory`")]
    NoMemory,
    #[error("{bytes} bytes; at most {MODULE_MAX_BYTES}")]
    TooLarge { bytes: usize },
    #[error("could not keep the module in {path}")]
    Io { path: String, source: io::Error },
}

/// Refuses a module that no provider could run.
pub fn check(module: &[u8]) -> Result<(), ModuleError> {
    if module.len() > MODULE_MAX_BYTES {
        return Err(ModuleError::TooLarge { bytes: module.len() });
    }
    if !module.starts_with(MAGIC) {
        let message = "it does not begin as one; name the compiled .wasm file".to_owned();
        return Err(ModuleError::NotWebAssembly(message));
    }
    let bad = |error: wasmparser::BinaryReaderError| ModuleError::NotWebAssembly(error.to_string());
    if Parser::is_component(module) {
        return Err(ModuleError::Component);
    }
    let types = Validator::new_with_features(FEATURES).validate_all(module).map_err(bad)?;
    let (mut start, mut memory) = (false, false);
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(bad)? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(bad)?;
                    let known = import.module == WASI && FUNCTIONS.contains(&import.name);
                    if !known || !matches!(import.ty, TypeRef::Func(_)) {
                        return Err(ModuleError::Import { module: import.module.into(), name: import.name.into() });
                    }
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.map_err(bad)?;
                    start |= export.name == "_start"
                        && export.kind == ExternalKind::Func
                        && takes_nothing(&types, export.index);
                    memory |= export.name == "memory" && export.kind == ExternalKind::Memory;
                }
            }
            _ => {}
        }
    }
    match (start, memory) {
        (false, _) => Err(ModuleError::NoStart),
        (_, false) => Err(ModuleError::NoMemory),
        _ => Ok(()),
    }
}

/// Returns true for a function without parameters and results, as `_start` must be.
fn takes_nothing(types: &Types, function: u32) -> bool {
    let types = types.as_ref();
    let signature = &types[types.core_function_at(function)];
    match &signature.composite_type.inner {
        CompositeInnerType::Func(function) => function.params().is_empty() && function.results().is_empty(),
        _ => false,
    }
}
