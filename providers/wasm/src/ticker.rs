//! The clock of the guests: one thread that advances the engine's epoch every millisecond while guests run, and is
//! parked while none does. Never stops a guest: each guest checks its own deadline.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::Engine;

/// Interval of the checks of a running guest: maximum delay of a timeout, and maximum lead of a CPU share.
pub(crate) const TICK: Duration = Duration::from_millis(1);

pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<TickerState>,
    wake: Condvar,
}

#[derive(Default)]
struct TickerState {
    running: usize,
    parked: bool,
    stopped: bool,
}

impl Ticker {
    /// Starts the thread, parked.
    pub(crate) fn start(engine: Engine) -> io::Result<Ticker> {
        let shared = Arc::new(Shared { state: Mutex::default(), wake: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("wasm-ticker".into()).spawn(move || of_thread.tick(&engine))?;
        Ok(Ticker { shared, thread: Some(thread) })
    }

    /// Keeps the epoch moving until the result is dropped.
    pub(crate) fn running(&self) -> Running<'_> {
        let mut state = self.shared.lock();
        state.running += 1;
        if state.parked {
            self.shared.wake.notify_one();
        }
        Running { shared: &self.shared }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread returns nothing, and its panic was already reported.
            thread.join().unwrap_or(());
        }
    }
}

/// One running guest, for the ticker.
pub(crate) struct Running<'a> {
    shared: &'a Shared,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.lock().running -= 1;
    }
}

impl Shared {
    fn tick(&self, engine: &Engine) {
        while self.wait_for_guest() {
            std::thread::sleep(TICK);
            engine.increment_epoch();
        }
    }

    /// Parks while no guest runs. Returns false when the ticker is to end.
    fn wait_for_guest(&self) -> bool {
        let mut state = self.lock();
        while state.running == 0 && !state.stopped {
            state.parked = true;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.parked = false;
        !state.stopped
    }

    fn lock(&self) -> MutexGuard<'_, TickerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
