//! The compiled modules, by the SHA-256 of their bytes: each compiled once, kept on disk, and in a memory cache bounded
//! in bytes.
//!
//! Owns the checks of a module that this host can run. Never fetches a module.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use wasmtime::{InstancePre, Linker, UnknownImportError};

use crate::artefacts::Artefacts;
use crate::compiler::{Compiler, CompilerReservation};
use crate::digest::{Digest, digest};
use crate::guest::Guest;
use crate::module_error::ModuleError;
use crate::progress::CompileProgress;
use crate::settings::ModuleSettings;

/// Maximum modules in memory and under way, whatever their size.
const ENTRIES_MAX: usize = 4096;
/// Time for which a module is refused that was too complex to compile.
const REFUSED_FOR: Duration = Duration::from_secs(600);

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

/// The modules of a [`Runtime`](crate::Runtime), shared by its hosts.
#[derive(Clone)]
pub struct Modules(Arc<ModulesOfRuntime>);

struct ModulesOfRuntime {
    linker: Linker<Guest>,
    compiler: Compiler,
    artefacts: Artefacts,
    cache: Mutex<Cache>,
}

/// The modules in memory, and those under way.
#[derive(Default)]
struct Cache {
    entries: HashMap<Digest, CacheEntry>,
    uses: u64,
    /// Bytes of the artefacts in memory, and the most of them.
    bytes: usize,
    max_bytes: usize,
}

struct CacheEntry {
    module: Arc<OnceCell<Module>>,
    last_use: u64,
    /// Bytes of its artefact; 0 until it is ready.
    bytes: usize,
    progress: Arc<CompileProgress>,
    /// The reason why it cannot be compiled here, for a while, and since when.
    refused: Option<(ModuleError, Instant)>,
}

impl Modules {
    pub(crate) fn new(linker: Linker<Guest>, settings: &ModuleSettings) -> std::io::Result<Modules> {
        let mut engine = std::hash::DefaultHasher::new();
        linker.engine().precompile_compatibility_hash().hash(&mut engine);
        Ok(Modules(Arc::new(ModulesOfRuntime {
            compiler: Compiler::new(
                settings.compiler.clone(),
                settings.directory.as_deref(),
                settings.compiled_at_once,
            ),
            artefacts: Artefacts::open(settings.directory.as_deref(), engine.finish())?,
            cache: Mutex::new(Cache { max_bytes: settings.max_bytes, ..Cache::default() }),
            linker,
        })))
    }

    /// Returns the module of this digest if it is in memory.
    pub fn get(&self, digest: &Digest) -> Option<Module> {
        self.0.lock().use_entry(digest)?.module.get().cloned()
    }

    /// Returns the module of this digest if it is in memory or in the directory of artefacts. Refuses one that was too
    /// complex lately. Must be awaited on tokio.
    pub async fn find(&self, digest: Digest) -> Result<Option<Module>, ModuleError> {
        if let Some(module) = self.get(&digest) {
            return Ok(Some(module));
        }
        self.0.lock().refused(&digest).map_or(Ok(()), Err)?;
        let (entry, _) = self.0.lock().use_or_add(digest);
        let shared = Arc::clone(&self.0);
        let found = entry.get_or_try_init(|| async { shared.kept(digest).await.ok_or(()) }).await.cloned();
        if found.is_err() {
            self.0.lock().evict_empty(&digest);
        }
        Ok(found.ok())
    }

    /// Reserves a place in the compiler's queue, which bounds the modules in memory that wait: 64, and 8 of an account.
    /// Refuses when it is full.
    pub fn reserve(&self, account: &str) -> Result<CompilerReservation, ModuleError> {
        self.0.compiler.reserve(account)
    }

    /// Returns the module of this digest, compiled from `wasm` if it is not there already. Concurrent
    /// calls for one digest compile once, and the work goes on after a caller left. Refuses bytes of another digest and
    /// bytes that are no command of WASI preview 1; what is too complex is refused for ten minutes. Must be awaited on
    /// tokio.
    pub async fn load(&self, of: Digest, wasm: Bytes, reservation: CompilerReservation) -> Result<Module, ModuleError> {
        let (entry, progress) = self.0.lock().use_or_add(of);
        if let Some(refused) = self.0.lock().refused(&of) {
            return Err(refused);
        }
        let shared = Arc::clone(&self.0);
        let loading = tokio::spawn(async move {
            let making = async {
                check_digest(of, wasm.clone(), Arc::clone(&progress)).await?;
                shared.make(of, wasm, reservation, &progress).await
            };
            let loaded = entry.get_or_try_init(|| making).await.cloned();
            match &loaded {
                Ok(_) => {}
                Err(error @ ModuleError::TooComplex { .. }) => shared.lock().refuse(&of, error.clone()),
                Err(_) => shared.lock().evict_empty(&of),
            }
            loaded
        });
        loading.await.map_err(|error| ModuleError::Host(error.to_string()))?
    }

    /// Estimates the time until a module that is under way is ready: at least a second, at most ten minutes.
    pub fn remaining(&self, digest: &Digest) -> Duration {
        let progress = self.0.lock().entries.get(digest).map(|entry| Arc::clone(&entry.progress));
        progress.unwrap_or_default().remaining()
    }
}

/// Refuses bytes of another digest, and records the module's size. Runs beside the runtime: hashing 32 MiB takes
/// milliseconds.
async fn check_digest(of: Digest, wasm: Bytes, progress: Arc<CompileProgress>) -> Result<(), ModuleError> {
    let check = move || {
        if digest(&wasm) != of {
            return Err(ModuleError::OtherDigest);
        }
        progress.set_module(&wasm);
        Ok(())
    };
    spawn_blocking(check).await.map_err(|error| ModuleError::Host(error.to_string()))?
}

impl ModulesOfRuntime {
    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a module from the directory of artefacts.
    async fn kept(self: &Arc<ModulesOfRuntime>, digest: Digest) -> Option<Module> {
        let shared = Arc::clone(self);
        let read = spawn_blocking(move || {
            let artefact = shared.artefacts.read(&digest)?;
            let module = shared.open(&artefact);
            if module.is_err() {
                shared.artefacts.remove(&digest);
            }
            module.ok().map(|module| (module, artefact.len()))
        });
        let (module, bytes) = read.await.ok()??;
        self.lock().weigh(&digest, bytes);
        Some(module)
    }

    async fn make(
        self: &Arc<ModulesOfRuntime>,
        digest: Digest,
        wasm: Bytes,
        reservation: CompilerReservation,
        progress: &CompileProgress,
    ) -> Result<Module, ModuleError> {
        if let Some(module) = self.kept(digest).await {
            return Ok(module);
        }
        let turn = self.compiler.wait(reservation, wasm.len()).await?;
        // Another process may have compiled it since.
        if let Some(module) = self.kept(digest).await {
            return Ok(module);
        }
        let artefact = self.compiler.compile(wasm, &turn, progress).await?;
        let shared = Arc::clone(self);
        let opened = spawn_blocking(move || {
            let module = shared.open(&artefact)?;
            // It is only a cache: a full disk costs a compilation later.
            shared.artefacts.write(&digest, &artefact).ok();
            Ok((module, artefact.len()))
        });
        let (module, bytes) = opened.await.map_err(|error| ModuleError::Host(error.to_string()))??;
        // Others find the artefact when it is their turn.
        drop(turn);
        self.lock().weigh(&digest, bytes);
        Ok(module)
    }

    #[allow(unsafe_code, reason = "an artefact is code that this process is about to run")]
    fn open(&self, artefact: &[u8]) -> Result<Module, ModuleError> {
        // SAFETY: the artefact was made by this program's compiler, with this engine's settings: by a child process
        // just now, or before into a directory of this user alone, with a checksum.
        let module = unsafe { wasmtime::Module::deserialize(self.linker.engine(), artefact) };
        // Our own compiler made it.
        let module = module.map_err(|error| ModuleError::Host(format!("{error:#}")))?;
        if !has_start(&module) {
            return Err(ModuleError::NoStart);
        }
        Ok(Module { instances: self.linker.instantiate_pre(&module).map_err(import_error)? })
    }
}

impl Cache {
    fn use_entry(&mut self, digest: &Digest) -> Option<&mut CacheEntry> {
        self.uses += 1;
        let entry = self.entries.get_mut(digest)?;
        entry.last_use = self.uses;
        Some(entry)
    }

    fn use_or_add(&mut self, digest: Digest) -> (Arc<OnceCell<Module>>, Arc<CompileProgress>) {
        if let Some(entry) = self.use_entry(&digest) {
            return (Arc::clone(&entry.module), Arc::clone(&entry.progress));
        }
        while self.entries.len() >= ENTRIES_MAX {
            self.evict_oldest();
        }
        let (module, progress) = (Arc::new(OnceCell::new()), Arc::<CompileProgress>::default());
        let entry = CacheEntry {
            module: Arc::clone(&module),
            last_use: self.uses,
            bytes: 0,
            progress: Arc::clone(&progress),
            refused: None,
        };
        self.entries.insert(digest, entry);
        (module, progress)
    }

    /// Notes the bytes of a module that is ready, and evicts those that were not used for longest, but not this one.
    fn weigh(&mut self, digest: &Digest, bytes: usize) {
        let Some(entry) = self.entries.get_mut(digest) else { return };
        self.bytes = self.bytes - std::mem::replace(&mut entry.bytes, bytes) + bytes;
        while self.bytes > self.max_bytes && self.entries.len() > 1 {
            let newest = self.entries.get(digest).map_or(0, |entry| entry.last_use);
            let others = self.entries.iter().filter(|(_, entry)| entry.bytes > 0 && entry.last_use != newest);
            let Some((oldest, _)) = others.min_by_key(|(_, entry)| entry.last_use) else { return };
            let oldest = *oldest;
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, digest: &Digest) {
        if let Some(entry) = self.entries.remove(digest) {
            self.bytes -= entry.bytes;
        }
    }

    fn evict_oldest(&mut self) {
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.last_use);
        if let Some(digest) = oldest.map(|(digest, _)| *digest) {
            self.remove(&digest);
        }
    }

    /// Removes an entry that its only user could not fill.
    fn evict_empty(&mut self, digest: &Digest) {
        let is_left = |entry: &CacheEntry| {
            // One reference is the cache's, one the user's.
            !entry.module.initialized() && entry.refused.is_none() && Arc::strong_count(&entry.module) <= 2
        };
        if self.entries.get(digest).is_some_and(is_left) {
            self.remove(digest);
        }
    }

    /// Refuses a module from now on.
    fn refuse(&mut self, digest: &Digest, error: ModuleError) {
        if let Some(entry) = self.entries.get_mut(digest) {
            entry.refused = Some((error, Instant::now()));
        }
    }

    /// Returns the reason why a module is refused. After ten minutes it may be tried again.
    fn refused(&mut self, digest: &Digest) -> Option<ModuleError> {
        let entry = self.entries.get_mut(digest)?;
        entry.refused.take_if(|(_, since)| since.elapsed() > REFUSED_FOR);
        entry.refused.as_ref().map(|(error, _)| error.clone())
    }
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
