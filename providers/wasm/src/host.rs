//! A fixed pool of plain threads, one guest each. Owns admission and the threads' lives. Never queues: a thread is
//! taken before there is a job for it.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use merit_priority::Priority;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::cpu_share::Credit;
use crate::execution::{GuestRun, HostFailure};
use crate::job::Job;
use crate::run;
use crate::runtime::Runtime;

/// The settings of a [`Host`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostSettings {
    /// Number of guests at once, at least 1.
    pub threads: u32,
    /// CPU share of each thread, above 0 and at most 1: at 0.5 a guest that burns CPU takes twice the wall time. At 1
    /// it never pauses; a guest that waits is never slowed.
    pub cpu_share: f64,
}

/// A host that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("a CPU share is above 0 and at most 1, not {0}")]
    CpuShare(f64),
    #[error("the runtime does not have {0} threads left")]
    Threads(u32),
    #[error("cannot start a thread for guests: {0}")]
    Spawn(#[source] io::Error),
}

/// All threads are taken. Nothing was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all threads are taken")]
pub struct Busy;

/// A fixed pool of threads that run guests. Dropping it drains it: running guests end by themselves, at the latest at
/// their timeouts, their answers arrive, and then the threads end.
pub struct Host {
    pool: Arc<Pool>,
}

struct Pool {
    runtime: Arc<Runtime>,
    idle: Mutex<Idle>,
}

/// The threads without a guest, in the order in which they ended their last one. The last is taken first, because its
/// stack and caches are warm; with a CPU share the first, which has earned credit since: a call does not pay with its
/// time for the guest before it.
struct Idle {
    threads: VecDeque<Sender<Task>>,
    rested_first: bool,
    closed: bool,
}

struct Task {
    job: Job,
    seat: Seat,
    answer: oneshot::Sender<Result<GuestRun, HostFailure>>,
}

/// A thread taken for one guest. Dropping it without a run gives the thread back.
pub struct Seat {
    pool: Arc<Pool>,
    thread: Option<Sender<Task>>,
}

impl Host {
    /// Starts the threads. Refuses a share outside of (0, 1], and no threads or more than the runtime has left.
    pub fn new(runtime: Arc<Runtime>, settings: HostSettings) -> Result<Host, HostError> {
        let HostSettings { threads, cpu_share } = settings;
        if !(cpu_share > 0.0 && cpu_share <= 1.0) {
            return Err(HostError::CpuShare(cpu_share));
        }
        if threads == 0 || !runtime.take_threads(threads) {
            return Err(HostError::Threads(threads));
        }
        let idle = Mutex::new(Idle { threads: VecDeque::new(), rested_first: cpu_share < 1.0, closed: false });
        let host = Host { pool: Arc::new(Pool { runtime, idle }) };
        for started in 0..threads {
            match start_thread(Arc::clone(&host.pool.runtime), cpu_share) {
                Ok(thread) => host.pool.lock().threads.push_back(thread),
                Err(error) => {
                    host.pool.runtime.return_threads(threads - started);
                    return Err(HostError::Spawn(error));
                }
            }
        }
        Ok(host)
    }

    /// Takes a thread for one call. Refuses at once if there is none.
    pub fn admit(&self) -> Result<Seat, Busy> {
        let thread = self.pool.lock().take().ok_or(Busy)?;
        Ok(Seat { pool: Arc::clone(&self.pool), thread: Some(thread) })
    }

    /// Returns the number of threads without a guest.
    pub fn idle(&self) -> usize {
        self.pool.lock().threads.len()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let mut idle = self.pool.lock();
        idle.closed = true;
        idle.threads.clear(); // A thread ends with its channel.
    }
}

impl Seat {
    /// Runs the job on the taken thread. Dropping the future does not stop the guest: only the job's `cancelled` does,
    /// and the thread stays taken until the guest ends.
    pub async fn run(self, job: Job) -> Result<GuestRun, HostFailure> {
        let answered = self.start(job)?;
        answered.await.map_err(|_| HostFailure::Lost)?
    }

    fn start(self, job: Job) -> Result<oneshot::Receiver<Result<GuestRun, HostFailure>>, HostFailure> {
        let (answer, answered) = oneshot::channel();
        let thread = self.thread.clone().ok_or(HostFailure::Lost)?;
        match thread.send(Task { job, seat: self, answer }) {
            Ok(()) => Ok(answered),
            Err(SendError(mut unsent)) => {
                unsent.seat.thread = None; // The thread is gone and must not go back to the pool.
                Err(HostFailure::NotStarted("the thread for guests is gone".into()))
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.pool.lock().give_back(thread);
        }
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn take(&mut self) -> Option<Sender<Task>> {
        if self.rested_first { self.threads.pop_front() } else { self.threads.pop_back() }
    }

    fn give_back(&mut self, thread: Sender<Task>) {
        if !self.closed {
            self.threads.push_back(thread);
        }
    }
}

/// A thread's claim on the runtime, returned at any end of the thread.
struct ThreadClaim {
    runtime: Arc<Runtime>,
}

impl Drop for ThreadClaim {
    fn drop(&mut self) {
        self.runtime.return_threads(1);
    }
}

/// Starts a thread with an async reactor of its own, by which a waiting guest can be stopped.
fn start_thread(runtime: Arc<Runtime>, cpu_share: f64) -> io::Result<Sender<Task>> {
    let reactor = Builder::new_current_thread().enable_time().build()?;
    let (thread, tasks) = channel();
    std::thread::Builder::new().name("wasm-guest".into()).spawn(move || {
        // Below the threads that take calls and send answers. A failure is harmless.
        merit_priority::set(Priority::ShortGuest).ok();
        let claim = ThreadClaim { runtime };
        serve(&claim.runtime, &reactor, Credit::new(cpu_share), tasks);
    })?;
    Ok(thread)
}

/// Runs one job after the other until the channel closes.
fn serve(runtime: &Runtime, reactor: &tokio::runtime::Runtime, mut credit: Credit, tasks: Receiver<Task>) {
    for Task { job, seat, answer } in tasks {
        let (execution, kept) = run::run(runtime, reactor, credit, job);
        credit = kept;
        drop(seat); // Before the answer, so that its receiver finds the thread idle.
        answer.send(execution).ok(); // The caller may have gone away.
    }
}

#[cfg(test)]
#[path = "../tests/unit/host.rs"]
mod tests;
