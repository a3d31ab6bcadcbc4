//! One run of one guest on the calling thread: its setup, its timeout, its CPU share, and the meaning of its end. Never
//! shares anything with another guest.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use merit_priority::Priority;
use rustix::io::Errno;
use tokio::time::timeout_at;
use wasmtime::{OutOfMemory, PoolConcurrencyLimitError, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{I32Exit, WasiCtxBuilder, WasiView};

use crate::capture::Capture;
use crate::cpu_share::{Credit, thread_cpu};
use crate::execution::{GuestOutcome, GuestRun, GuestUsage, HostFailure};
use crate::guest::{Guest, MemoryCap};
use crate::job::Job;
use crate::runtime::Runtime;

/// Maximum random bytes of one host call, which no epoch interrupts: about 10 ms.
const RANDOM_BYTES: u64 = 1 << 20;

/// Maximum number of streams and timers of one guest; `poll_oneoff` makes one for each subscription.
const RESOURCES: usize = 1024;

/// Maximum bytes that one host call copies, which no epoch interrupts; a larger read or write is refused as ENOMEM.
const HOST_CALL_BYTES: usize = 64 << 20;

/// Ticks after which a guest counts as long: 1 to 2 ms of running.
const LONG_TICKS: u32 = 2;

/// The raw end of a guest, before its reason is known.
enum GuestEnd {
    Returned,
    /// The instance was not made, or its start section failed.
    NotStarted(wasmtime::Error),
    Stopped(wasmtime::Error),
    Elapsed,
    /// The guest was cancelled while it waited.
    Cancelled,
}

/// Runs the job to its end on this thread, at most one tick and one host call past its timeout or its cancellation.
/// `reactor` and `credit` are this thread's own. Returns the credit with the run.
pub(crate) fn run(
    runtime: &Runtime,
    reactor: &tokio::runtime::Runtime,
    mut credit: Credit,
    job: Job,
) -> (Result<GuestRun, HostFailure>, Credit) {
    credit.settle(); // Caps the credit of the idle time before it is spent.
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
        ticks: 0,
        stopped: None,
        cancelled: job.cancelled.clone(),
    };
    let mut store = store(runtime, guest);

    let running = runtime.ticker.running();
    let end = reactor.block_on(enter(&mut store, &job));
    // Dropping the instance is the guest's CPU time too, and paid with the rest.
    let mut guest = store.into_data();
    pause(&mut guest.credit, guest.deadline);
    drop(running);
    if guest.ticks >= LONG_TICKS {
        merit_priority::set(Priority::ShortGuest).ok();
    }

    let usage = GuestUsage {
        wall_us: microseconds(started_at.elapsed()),
        cpu_us: microseconds(thread_cpu().saturating_sub(started_cpu)),
        cold_us: microseconds(job.waited),
        peak_memory_bytes: guest.memory.peak_bytes as u64,
    };
    let execution = outcome(end, &guest, output.overflowed()).map(|outcome| GuestRun {
        outcome,
        output: output.take(),
        log: log.take(),
        usage,
    });
    (execution, guest.credit)
}

fn wasi(job: &Job, output: &Capture, log: &Capture) -> WasiP1Ctx {
    let mut wasi = WasiCtxBuilder::new()
        .stdin(MemoryInputPipe::new(Bytes::clone(&job.payload)))
        .stdout(output.clone())
        .stderr(log.clone())
        .envs(&job.environment)
        .args(&job.arguments)
        .max_random_size(RANDOM_BYTES)
        .allow_blocking_current_thread(false) // A blocking sleep could not be stopped.
        .build_p1();
    wasi.ctx().table.set_max_capacity(RESOURCES);
    wasi
}

fn store(runtime: &Runtime, guest: Guest) -> Store<Guest> {
    let mut store = Store::new(&runtime.engine, guest);
    store.set_hostcall_fuel(HOST_CALL_BYTES);
    store.limiter(|guest| &mut guest.memory);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(at_tick);
    store
}

async fn enter(store: &mut Store<Guest>, job: &Job) -> GuestEnd {
    let deadline = store.data().deadline;
    let running = async {
        let instance = match job.module.instances.instantiate_async(&mut *store).await {
            Ok(instance) => instance,
            Err(error) => return GuestEnd::NotStarted(error),
        };
        let start = match instance.get_typed_func::<(), ()>(&mut *store, "_start") {
            Ok(start) => start,
            Err(error) => return GuestEnd::NotStarted(error),
        };
        match start.call_async(&mut *store, ()).await {
            Ok(()) => GuestEnd::Returned,
            Err(error) => GuestEnd::Stopped(error),
        }
    };
    let mut cancelled = job.cancelled.clone();
    tokio::select! {
        biased; // A guest that has ended is not cancelled.
        ended = timeout_at(deadline.into(), running) => ended.unwrap_or(GuestEnd::Elapsed),
        Ok(_) = cancelled.wait_for(|cancelled| *cancelled) => GuestEnd::Cancelled,
    }
}

/// Pays for the CPU and stops the guest if it is due. The guest's own code calls it at every tick.
fn at_tick(mut store: StoreContextMut<'_, Guest>) -> wasmtime::Result<UpdateDeadline> {
    let guest = store.data_mut();
    guest.ticks = guest.ticks.saturating_add(1);
    if guest.ticks == LONG_TICKS {
        merit_priority::set(Priority::LongGuest).ok();
    }
    pause(&mut guest.credit, guest.deadline);
    guest.stopped = if Instant::now() >= guest.deadline {
        Some(GuestOutcome::Timeout)
    } else if *guest.cancelled.borrow() {
        Some(GuestOutcome::Cancelled)
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
        credit.settle(); // Caps the credit of a late wake-up before it is spent.
    }
}

fn outcome(end: GuestEnd, guest: &Guest, overflowed: bool) -> Result<GuestOutcome, HostFailure> {
    let (error, has_started) = match end {
        GuestEnd::Returned => return Ok(GuestOutcome::Ok),
        GuestEnd::Elapsed => return Ok(GuestOutcome::Timeout),
        GuestEnd::Cancelled => return Ok(GuestOutcome::Cancelled),
        GuestEnd::NotStarted(error) => (error, false),
        GuestEnd::Stopped(error) => (error, true),
    };
    let exit = error.downcast_ref::<I32Exit>().map(|exit| exit.0);
    Ok(match (exit, &guest.stopped) {
        (Some(0), _) => GuestOutcome::Ok,
        (_, Some(stopped)) => stopped.clone(),
        _ if overflowed => GuestOutcome::OutputLimit,
        _ if guest.memory.refused => GuestOutcome::OutOfMemory,
        (Some(code), None) => GuestOutcome::Exit(code),
        (None, None) if !has_started && is_of_host(&error) => return Err(HostFailure::NotStarted(error.into())),
        (None, None) => GuestOutcome::Trap(error.root_cause().to_string()),
    })
}

/// Returns whether an instance could not be made for a reason of this machine: no slot of the pool, or no memory. All
/// other reasons are the module's own, such as a host call that fails in its start section.
fn is_of_host(error: &wasmtime::Error) -> bool {
    error.is::<PoolConcurrencyLimitError>()
        || error.is::<OutOfMemory>()
        || error.is::<io::Error>()
        || error.is::<Errno>()
}

fn deadline(from: Instant, left: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    from + left.min(CENTURY)
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
