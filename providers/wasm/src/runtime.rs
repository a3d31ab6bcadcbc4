//! The parts that the hosts of a process share: the engine with its pool of instances, the ticker, the modules. Never
//! runs a guest.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use merit_module::{INSTANCE_MAX_BYTES, TABLE_ELEMENTS_MAX, TABLES_MAX};
use wasmtime::{Config, Engine, PoolingAllocationConfig};

use crate::compile::{self, MEMORY_RESERVATION_BYTES};
use crate::linker;
use crate::modules::Modules;
use crate::settings::ModuleSettings;
use crate::ticker::Ticker;

/// Bytes of a guest's memory that stay resident for the next guest. They are cleared by hand, which for a few pages is
/// cheaper than returning them and faulting them in again.
const RESIDENT_BYTES: usize = 64 * 1024;

/// The settings of a [`Runtime`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeSettings {
    /// Maximum number of threads of all its hosts together. Each costs 4 GiB of address space, and memory only for the
    /// pages that its guests touch.
    pub threads: u32,
    pub modules: ModuleSettings,
}

/// A runtime that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("cannot make the WebAssembly engine: {0}")]
    Engine(#[source] Box<dyn Error + Send + Sync>),
    #[error("cannot start the thread of the ticker: {0}")]
    Ticker(#[source] std::io::Error),
    #[error("cannot use the directory of compiled modules: {0}")]
    Directory(#[source] std::io::Error),
}

/// The engine, its ticker and the modules, shared by any number of [`Host`](crate::Host)s.
pub struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) ticker: Ticker,
    modules: Modules,
    threads_left: AtomicU32,
}

impl Runtime {
    pub fn new(settings: RuntimeSettings) -> Result<Arc<Runtime>, RuntimeError> {
        let failed = |error: wasmtime::Error| RuntimeError::Engine(error.into());
        let engine = Engine::new(&pooling(settings.threads)).map_err(failed)?;
        let linker = linker::preview_1(&engine).map_err(failed)?;
        let ticker = Ticker::start(engine.clone()).map_err(RuntimeError::Ticker)?;
        Ok(Arc::new(Runtime {
            engine,
            ticker,
            modules: Modules::new(linker, &settings.modules).map_err(RuntimeError::Directory)?,
            threads_left: AtomicU32::new(settings.threads),
        }))
    }

    pub fn modules(&self) -> &Modules {
        &self.modules
    }

    /// Takes `threads` of the threads. Returns false if fewer are left.
    pub(crate) fn take_threads(&self, threads: u32) -> bool {
        let take = |left: u32| left.checked_sub(threads);
        self.threads_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    pub(crate) fn return_threads(&self, threads: u32) {
        self.threads_left.fetch_add(threads, Ordering::Relaxed);
    }
}

fn pooling(threads: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(threads)
        .total_memories(threads)
        .total_tables(threads.saturating_mul(TABLES_MAX))
        .max_tables_per_module(TABLES_MAX)
        .max_core_instance_size(INSTANCE_MAX_BYTES)
        .total_stacks(threads)
        .max_unused_warm_slots(threads)
        .max_memory_size(MEMORY_RESERVATION_BYTES)
        .table_elements(TABLE_ELEMENTS_MAX as usize)
        .linear_memory_keep_resident(RESIDENT_BYTES)
        .table_keep_resident(RESIDENT_BYTES);
    let mut config = compile::config();
    config.allocation_strategy(pool);
    config
}
