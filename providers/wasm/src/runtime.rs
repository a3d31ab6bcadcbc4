//! The parts that the hosts of a process share: the engine with its pool of instances, the ticker, the modules. Never
//! runs a guest.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use wasmtime::{Config, Engine, PoolingAllocationConfig};

use crate::modules::Modules;
use crate::ticker::Ticker;
use crate::wasi;

/// Address space of one guest's memory in bytes, reserved and not committed: all that 32 bits can address, so that
/// compiled code needs no bounds checks.
const MEMORY_RESERVATION_BYTES: usize = 4 << 30;

/// Bytes of a guest's memory that stay resident for the next guest. They are cleared by hand, which for a few pages is
/// cheaper than returning them and faulting them in again.
const RESIDENT_BYTES: usize = 64 * 1024;

/// Entries of a module's table of functions: 800 kB of address space.
const TABLE_ELEMENTS: usize = 100_000;

/// The settings of a [`Runtime`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeSettings {
    /// Maximum number of threads of all its hosts together. Each costs 4 GiB of address space, and memory only for the
    /// pages that its guests touch.
    pub threads: u32,
    /// Maximum number of cached modules, at least 1.
    pub modules: usize,
}

/// A runtime that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("cannot make the WebAssembly engine: {0}")]
    Engine(#[source] Box<dyn Error + Send + Sync>),
    #[error("cannot start the thread of the ticker: {0}")]
    Ticker(#[source] std::io::Error),
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
        let engine = Engine::new(&config(settings.threads)).map_err(failed)?;
        let linker = wasi::preview_1(&engine).map_err(failed)?;
        let ticker = Ticker::start(engine.clone()).map_err(RuntimeError::Ticker)?;
        Ok(Arc::new(Runtime {
            engine,
            ticker,
            modules: Modules::new(linker, settings.modules),
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

fn config(threads: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(threads)
        .total_memories(threads)
        .total_tables(threads)
        .total_stacks(threads)
        .max_unused_warm_slots(threads)
        .max_memory_size(MEMORY_RESERVATION_BYTES)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(RESIDENT_BYTES)
        .table_keep_resident(RESIDENT_BYTES);
    let mut config = Config::new();
    config
        .allocation_strategy(pool)
        .memory_reservation(MEMORY_RESERVATION_BYTES as u64)
        .epoch_interruption(true)
        // One pool slot holds one memory of 32 bits.
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        // A trap's message is enough; the guest would choose the content and number of frames.
        .wasm_backtrace_max_frames(None);
    config
}
