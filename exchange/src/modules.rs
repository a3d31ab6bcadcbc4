//! The modules directory: WebAssembly modules by the SHA-256 of their bytes.
//!
//! Checks on the way in that a module is one a provider can run; never runs or compiles one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmparser::types::Types;
use wasmparser::{CompositeInnerType, ExternalKind, Parser, Payload, TypeRef, Validator, WasmFeatures};

/// The largest module taken.
pub const MODULE_MAX_BYTES: usize = 32 << 20;
/// How every WebAssembly file begins.
const MAGIC: &[u8] = b"\0asm";
const WASI: &str = "wasi_snapshot_preview1";
/// What every provider's WebAssembly host runs: the second version of the language, and tail calls.
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

/// Why a module was not kept.
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

/// The directory of modules.
#[derive(Clone, Debug)]
pub(crate) struct ModuleStore {
    directory: PathBuf,
}

impl ModuleStore {
    pub(crate) fn open(directory: &Path) -> Result<ModuleStore, ModuleError> {
        fs::create_dir_all(directory).map_err(|source| failed(directory, source))?;
        Ok(ModuleStore { directory: directory.to_owned() })
    }

    /// Keeps a module, durably, and names it by its digest. One that is there already stays as it is.
    pub(crate) fn put(&self, module: &[u8]) -> Result<[u8; 32], ModuleError> {
        check(module)?;
        let digest: [u8; 32] = Sha256::digest(module).into();
        let path = self.path(&digest);
        if !path.exists() {
            self.write(&path, module).map_err(|source| failed(&path, source))?;
        }
        Ok(digest)
    }

    pub(crate) fn has(&self, digest: &[u8; 32]) -> bool {
        self.path(digest).exists()
    }

    /// The bytes of a module; none if it is not kept, or no longer has its digest.
    pub(crate) fn get(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, ModuleError> {
        let path = self.path(digest);
        match fs::read(&path) {
            Ok(bytes) => Ok((Sha256::digest(&bytes).as_slice() == digest).then_some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed(&path, source)),
        }
    }

    fn path(&self, digest: &[u8; 32]) -> PathBuf {
        self.directory.join(format!("{}.wasm", hex::encode(digest)))
    }

    /// Under another name first, so that a crash leaves no half of a module under its digest.
    fn write(&self, path: &Path, module: &[u8]) -> io::Result<()> {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let unfinished = path.with_extension(format!("{}-{number}.new", std::process::id()));
        let mut file = File::create(&unfinished)?;
        file.write_all(module)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        File::open(&self.directory)?.sync_all()
    }
}

fn failed(path: &Path, source: io::Error) -> ModuleError {
    ModuleError::Io { path: path.display().to_string(), source }
}

/// Refuses what no provider could run.
fn check(module: &[u8]) -> Result<(), ModuleError> {
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

/// Whether a function takes nothing and gives nothing, as `_start` must.
fn takes_nothing(types: &Types, function: u32) -> bool {
    let types = types.as_ref();
    let signature = &types[types.core_function_at(function)];
    matches!(&signature.composite_type.inner, CompositeInnerType::Func(f) if f.params().is_empty() && f.results().is_empty())
}
