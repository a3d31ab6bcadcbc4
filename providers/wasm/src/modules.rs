//! The cache of compiled modules, by the SHA-256 of their bytes: each compiled once, the least recently used evicted.
//! Owns the checks of a module that this host can run. Never fetches or stores bytes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;
use wasmtime::{Engine, InstancePre, Linker, UnknownImportError};

use crate::guest::Guest;

/// The SHA-256 of a module's bytes.
pub type Digest = [u8; 32];

/// Computes the digest of a module's bytes.
pub fn digest(wasm: &[u8]) -> Digest {
    Sha256::digest(wasm).into()
}

/// A compiled module, ready to make instances. It is cheap to clone, and usable after it was evicted.
#[derive(Clone)]
pub struct Module {
    pub(crate) instances: InstancePre<Guest>,
}

impl fmt::Debug for Module {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Module")
    }
}

/// Bytes that are not a module that this host can run. The text is for the module's owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    #[error("the bytes are not those of the digest")]
    OtherDigest,
    #[error("not WebAssembly: {0}")]
    NotWebAssembly(String),
    #[error("imports {module}.{name} which WASI preview 1 does not have")]
    UnknownImport { module: String, name: String },
    #[error("imports something of WASI preview 1 with another type: {0}")]
    ImportType(String),
    #[error("has no _start: a function exported under that name, without parameters and results")]
    NoStart,
    #[error("the compiler failed on it: {0}")]
    Compiler(String),
}

/// The modules of a [`Runtime`](crate::Runtime), shared by its hosts.
pub struct Modules {
    linker: Arc<Linker<Guest>>,
    /// One permit: a compilation burns a core, and the guests need the rest.
    compiler: Arc<Semaphore>,
    cache: Mutex<Cache>,
    limit: usize,
}

#[derive(Default)]
struct Cache {
    entries: HashMap<Digest, CacheEntry>,
    uses: u64,
}

struct CacheEntry {
    module: Arc<OnceCell<Module>>,
    last_use: u64,
}

impl Modules {
    pub(crate) fn new(linker: Linker<Guest>, limit: usize) -> Modules {
        Modules {
            linker: Arc::new(linker),
            compiler: Arc::new(Semaphore::new(1)),
            cache: Mutex::default(),
            limit: limit.max(1),
        }
    }

    /// Returns the module of this digest if it is cached.
    pub fn get(&self, digest: &Digest) -> Option<Module> {
        self.lock().use_entry(digest)?.get().cloned()
    }

    /// Returns the module of this digest, compiled from `wasm` on a thread for blocking work if it is not cached.
    /// Concurrent calls for one digest compile once. Refuses bytes of another digest and bytes that are no command of
    /// WASI preview 1; a refusal is not cached. Must be awaited on tokio.
    pub async fn load(&self, digest: Digest, wasm: Bytes) -> Result<Module, ModuleError> {
        let entry = self.lock().use_or_add(digest, self.limit);
        let loaded = entry.get_or_try_init(|| self.compile(digest, wasm)).await.cloned();
        if loaded.is_err() {
            self.lock().evict_empty(&digest);
        }
        loaded
    }

    async fn compile(&self, digest: Digest, wasm: Bytes) -> Result<Module, ModuleError> {
        let stopped = |error: &dyn fmt::Display| ModuleError::Compiler(error.to_string());
        let turn = Arc::clone(&self.compiler).acquire_owned().await.map_err(|e| stopped(&e))?;
        let linker = Arc::clone(&self.linker);
        let compiling = spawn_blocking(move || {
            let compiled = compile(&linker, &digest, &wasm);
            drop(turn); // Held until here, so that a caller's cancellation does not let two compile.
            compiled
        });
        compiling.await.map_err(|e| stopped(&e))?
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    fn use_entry(&mut self, digest: &Digest) -> Option<Arc<OnceCell<Module>>> {
        self.uses += 1;
        let entry = self.entries.get_mut(digest)?;
        entry.last_use = self.uses;
        Some(Arc::clone(&entry.module))
    }

    fn use_or_add(&mut self, digest: Digest, limit: usize) -> Arc<OnceCell<Module>> {
        if let Some(module) = self.use_entry(&digest) {
            return module;
        }
        while self.entries.len() >= limit {
            self.evict_oldest();
        }
        let module = Arc::new(OnceCell::new());
        let entry = CacheEntry { module: Arc::clone(&module), last_use: self.uses };
        self.entries.insert(digest, entry);
        module
    }

    fn evict_oldest(&mut self) {
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.last_use);
        if let Some(digest) = oldest.map(|(digest, _)| *digest) {
            self.entries.remove(&digest);
        }
    }

    fn evict_empty(&mut self, digest: &Digest) {
        if self.entries.get(digest).is_some_and(|entry| !entry.module.initialized()) {
            self.entries.remove(digest);
        }
    }
}

fn compile(linker: &Linker<Guest>, expected: &Digest, wasm: &[u8]) -> Result<Module, ModuleError> {
    if digest(wasm) != *expected {
        return Err(ModuleError::OtherDigest);
    }
    let engine = linker.engine();
    validate(engine, wasm)?;
    let module = wasmtime::Module::new(engine, wasm).map_err(|error| ModuleError::Compiler(format!("{error:#}")))?;
    if !has_start(&module) {
        return Err(ModuleError::NoStart);
    }
    let instances = linker.instantiate_pre(&module).map_err(import_error)?;
    Ok(Module { instances })
}

fn validate(engine: &Engine, wasm: &[u8]) -> Result<(), ModuleError> {
    wasmtime::Module::validate(engine, wasm).map_err(|error| ModuleError::NotWebAssembly(format!("{error:#}")))
}

fn has_start(module: &wasmtime::Module) -> bool {
    let start = module.get_export("_start").and_then(|export| export.func().cloned());
    start.is_some_and(|start| start.params().len() == 0 && start.results().len() == 0)
}

fn import_error(error: wasmtime::Error) -> ModuleError {
    match error.downcast_ref::<UnknownImportError>() {
        Some(import) => {
            ModuleError::UnknownImport { module: import.module().to_owned(), name: import.name().to_owned() }
        }
        None => ModuleError::ImportType(format!("{error:#}")),
    }
}
