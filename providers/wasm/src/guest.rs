//! The store's data of one guest: its WASI context, memory cap, credit and deadline. Never runs by itself.

use std::time::Instant;

use tokio::sync::watch;
use wasmtime::ResourceLimiter;
use wasmtime_wasi::p1::WasiP1Ctx;

use crate::cpu_share::Credit;
use crate::execution::GuestOutcome;

/// The state that the engine asks for while the guest runs.
pub(crate) struct Guest {
    pub(crate) wasi: WasiP1Ctx,
    pub(crate) memory: MemoryCap,
    pub(crate) credit: Credit,
    pub(crate) deadline: Instant,
    /// Ticks so far at which it ran.
    pub(crate) ticks: u32,
    /// Reason of a stop at a tick.
    pub(crate) stopped: Option<GuestOutcome>,
    pub(crate) cancelled: watch::Receiver<bool>,
}

impl Guest {
    pub(crate) fn wasi(&mut self) -> &mut WasiP1Ctx {
        &mut self.wasi
    }
}

/// The cap of a guest's linear memory, with the peak of its use.
pub(crate) struct MemoryCap {
    pub(crate) cap_bytes: usize,
    pub(crate) peak_bytes: usize,
    pub(crate) refused: bool,
}

impl ResourceLimiter for MemoryCap {
    fn memory_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.cap_bytes {
            self.refused = true;
            return Ok(false);
        }
        if maximum.is_none_or(|maximum| desired <= maximum) {
            self.peak_bytes = self.peak_bytes.max(desired);
        }
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, _desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true) // Bounded by the pool.
    }
}
