//! One run of one guest on the calling thread: its memory cap, its deadline, its share of the CPU, and
//! what its end means. Never shares anything with another guest.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::timeout_at;
use wasmtime::{ResourceLimiter, Store, StoreContextMut, Trap, UpdateDeadline};

use crate::capture::Capture;
use crate::credit::{Credit, thread_cpu};
use crate::job::{Execution, Failure, Job, Outcome, Usage};
use crate::runtime::Runtime;
use crate::wasi::{Exit, Wasi};

/// The store's data: what the engine asks for while the guest runs.
pub(crate) struct Guest {
    wasi: Wasi,
    memory: MemoryCap,
    credit: Credit,
    deadline: Instant,
    /// Why it was stopped at a tick.
    stopped: Option<Outcome>,
    cancelled: watch::Receiver<bool>,
}

impl Guest {
    pub(crate) fn wasi(&mut self) -> &mut Wasi {
        &mut self.wasi
    }
}

struct MemoryCap {
    cap_bytes: usize,
    peak_bytes: usize,
    refused: bool,
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

/// How the guest stopped, before the question of why.
enum End {
    Returned,
    /// No instance, or the start section failed.
    NotStarted(wasmtime::Error),
    Stopped(wasmtime::Error),
    Elapsed,
    /// While the guest waited.
    Cancelled,
}

/// Runs the job to its end on this thread, at most one tick past its timeout or its cancellation and the
/// host call it is in. `reactor` is this thread's own; `credit` too, and is given back.
pub(crate) fn run(
    runtime: &Runtime,
    reactor: &tokio::runtime::Runtime,
    mut credit: Credit,
    job: Job,
) -> (Result<Execution, Failure>, Credit) {
    credit.settle(); // What the idle time earned is capped before it is spent.
    let (started_at, started_cpu) = (Instant::now(), thread_cpu());
    let output = Capture::head(job.output_limit_bytes);
    let log = Capture::tail(job.log_limit_bytes);
    let guest = Guest {
        wasi: wasi(&job, &output, &log),
        memory: MemoryCap {
            cap_bytes: usize::try_from(u64::from(job.memory_mb) << 20).unwrap_or(usize::MAX),
            peak_bytes: 0,
            refused: false,
        },
        credit,
        deadline: deadline(started_at, job.timeout.saturating_sub(job.waited)),
        stopped: None,
        cancelled: job.cancelled.clone(),
    };
    let mut store = store(runtime, guest);

    let running = runtime.ticker.running();
    let end = reactor.block_on(enter(&mut store, &job));
    // Taking the instance down is the guest's CPU time as well, and paid for with the rest.
    let mut guest = store.into_data();
    pause(&mut guest.credit, guest.deadline);
    drop(running);

    let usage = Usage {
        wall_us: microseconds(started_at.elapsed()),
        cpu_us: microseconds(thread_cpu().saturating_sub(started_cpu)),
        cold_us: microseconds(job.waited),
        peak_memory_bytes: guest.memory.peak_bytes as u64,
    };
    let execution = outcome(end, &guest, output.overflowed()).map(|outcome| Execution {
        outcome,
        output: output.take(),
        log: log.take(),
        usage,
    });
    (execution, guest.credit)
}

fn wasi(job: &Job, output: &Capture, log: &Capture) -> Wasi {
    let (payload, arguments) = (Bytes::clone(&job.payload), job.arguments.clone());
    Wasi::new(payload, output.clone(), log.clone(), arguments, &job.environment)
}

fn store(runtime: &Runtime, guest: Guest) -> Store<Guest> {
    let mut store = Store::new(&runtime.engine, guest);
    store.limiter(|guest| &mut guest.memory);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(at_tick);
    store
}

async fn enter(store: &mut Store<Guest>, job: &Job) -> End {
    let deadline = store.data().deadline;
    let running = async {
        let instance = match job.module.instances.instantiate_async(&mut *store).await {
            Ok(instance) => instance,
            Err(error) => return End::NotStarted(error),
        };
        let start = match instance.get_typed_func::<(), ()>(&mut *store, "_start") {
            Ok(start) => start,
            Err(error) => return End::NotStarted(error),
        };
        match start.call_async(&mut *store, ()).await {
            Ok(()) => End::Returned,
            Err(error) => End::Stopped(error),
        }
    };
    let mut cancelled = job.cancelled.clone();
    tokio::select! {
        biased; // What has ended is not cancelled.
        ended = timeout_at(deadline.into(), running) => ended.unwrap_or(End::Elapsed),
        Ok(_) = cancelled.wait_for(|cancelled| *cancelled) => End::Cancelled,
    }
}

/// Called by the guest's own code at every tick: pays for the CPU, then looks whether it is to go on.
fn at_tick(mut store: StoreContextMut<'_, Guest>) -> wasmtime::Result<UpdateDeadline> {
    let guest = store.data_mut();
    pause(&mut guest.credit, guest.deadline);
    guest.stopped = if Instant::now() >= guest.deadline {
        Some(Outcome::Timeout)
    } else if *guest.cancelled.borrow() {
        Some(Outcome::Cancelled)
    } else {
        return Ok(UpdateDeadline::Continue(1));
    };
    Ok(UpdateDeadline::Interrupt)
}

/// Sleeps until the credit is out of debt, but not past the deadline.
fn pause(credit: &mut Credit, deadline: Instant) {
    let debt = credit.settle();
    let pause = debt.min(deadline.saturating_duration_since(Instant::now()));
    if !pause.is_zero() {
        std::thread::sleep(pause);
        credit.settle(); // What a late wake-up earned is capped before it is spent.
    }
}

fn outcome(end: End, guest: &Guest, overflowed: bool) -> Result<Outcome, Failure> {
    let (error, started) = match end {
        End::Returned => return Ok(Outcome::Ok),
        End::Elapsed => return Ok(Outcome::Timeout),
        End::Cancelled => return Ok(Outcome::Cancelled),
        End::NotStarted(error) => (error, false),
        End::Stopped(error) => (error, true),
    };
    let exit = error.downcast_ref::<Exit>().map(|exit| exit.0);
    let trapped = error.downcast_ref::<Trap>().is_some();
    Ok(match (exit, &guest.stopped) {
        (Some(0), _) => Outcome::Ok,
        (_, Some(stopped)) => stopped.clone(),
        _ if overflowed => Outcome::OutputLimit,
        _ if guest.memory.refused => Outcome::OutOfMemory,
        (Some(code), None) => Outcome::Exit(code),
        (None, None) if started || trapped => Outcome::Trap(error.root_cause().to_string()),
        (None, None) => return Err(Failure::NotStarted(error.into())),
    })
}

fn deadline(from: Instant, left: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    from + left.min(CENTURY)
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
