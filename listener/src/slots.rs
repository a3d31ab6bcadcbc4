//! The connections of one port: at most so many at once in all, and of one peer. When all are taken, the idlest are
//! closed, so that silent connections never keep a new one out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::limits::Limits;
use crate::shares::network;

/// Interval at which idle connections are looked for again while a new one waits.
const CLOSE_AGAIN: Duration = Duration::from_millis(100);
/// A search scans all connections, so it evicts one in so many, at least one.
const OPEN_PER_CLOSED: usize = 64;

/// Time in which a new connection is not yet blamed for its silence: a handshake takes round trips.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// The slots of a port.
pub(crate) struct Slots {
    peer_connections: usize,
    free: Arc<Semaphore>,
    open: Mutex<Open>,
    began: Instant,
}

#[derive(Default)]
struct Open {
    connections: HashMap<u64, Arc<Activity>>,
    by_peer: HashMap<IpAddr, usize>,
    opened: u64,
}

/// The requests of a connection, and since when it has none.
pub(crate) struct Activity {
    began: Instant,
    opened: Instant,
    under_way: AtomicU32,
    /// Set while bytes of an answer wait for the client to read them.
    is_blocked: AtomicBool,
    has_asked: AtomicBool,
    /// Milliseconds after `began`.
    idle_since_ms: AtomicU64,
    closing: CancellationToken,
}

/// A request under way, until this and its clones are dropped. Its connection is not idle meanwhile.
pub struct UnderWay(Arc<Activity>);

/// The slot of a connection, until it is dropped.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    number: u64,
    peer: IpAddr,
    pub(crate) activity: Arc<Activity>,
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    pub(crate) fn new(limits: &Limits) -> Arc<Slots> {
        let free = Arc::new(Semaphore::new(limits.connections));
        let (peer_connections, open) = (limits.peer_connections, Mutex::default());
        Arc::new(Slots { peer_connections, free, open, began: Instant::now() })
    }

    /// Waits for a slot. Closes the idlest connections if there is none. Returns none if the peer has as many as it
    /// may.
    pub(crate) async fn take(self: &Arc<Slots>, peer: IpAddr) -> Option<Slot> {
        let peer = network(peer);
        if self.lock().by_peer.get(&peer).is_some_and(|count| *count >= self.peer_connections && !peer.is_loopback()) {
            return None;
        }
        let permit = loop {
            let free = Arc::clone(&self.free);
            match free.clone().try_acquire_owned() {
                Ok(permit) => break permit,
                Err(_) => self.close_idlest(),
            }
            if let Ok(permit) = timeout(CLOSE_AGAIN, free.acquire_owned()).await {
                // The semaphore is never closed.
                break permit.ok()?;
            }
        };
        let activity = Arc::new(Activity::new(self.began));
        let mut open = self.lock();
        open.opened += 1;
        let number = open.opened;
        open.connections.insert(number, Arc::clone(&activity));
        *open.by_peer.entry(peer).or_default() += 1;
        Some(Slot { slots: Arc::clone(self), number, peer, activity, _permit: permit })
    }

    /// Closes the connections that have been without a request for longest: first those that had none within 5 s of
    /// their start. Waits for those that are closing already.
    pub(crate) fn close_idlest(&self) {
        let open = self.lock();
        // One that got a request meanwhile may stay for long.
        if open.connections.values().any(|one| one.closing.is_cancelled() && !one.is_busy()) {
            return;
        }
        let mut idle: Vec<_> = open.connections.values().filter_map(|one| Some((one.idleness()?, one))).collect();
        let count = (1 + open.connections.len() / OPEN_PER_CLOSED).min(idle.len());
        if count == 0 {
            return;
        }
        idle.select_nth_unstable_by_key(count - 1, |(idleness, _)| *idleness);
        idle[..count].iter().for_each(|(_, one)| one.closing.cancel());
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Activity {
    pub(crate) fn new(began: Instant) -> Activity {
        let activity = Activity {
            began,
            opened: Instant::now(),
            under_way: AtomicU32::new(0),
            is_blocked: AtomicBool::new(false),
            has_asked: AtomicBool::new(false),
            idle_since_ms: AtomicU64::new(0),
            closing: CancellationToken::new(),
        };
        activity.note_idle();
        activity
    }

    /// Begins a request.
    pub(crate) fn begin(self: &Arc<Activity>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.has_asked.store(true, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0 || self.is_blocked.load(Ordering::Relaxed)
    }

    /// Returns true once a request has come.
    pub(crate) fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    /// Notes whether written bytes have to wait for the client to read.
    pub(crate) fn note_write(&self, is_blocked: bool) {
        if self.is_blocked.load(Ordering::Relaxed) != is_blocked {
            self.note_idle();
            self.is_blocked.store(is_blocked, Ordering::Relaxed);
        }
    }

    /// Waits until the connection has to make room for others.
    pub(crate) async fn closed_for_others(&self) {
        self.closing.cancelled().await;
    }

    /// Waits until the connection has been without a request for `limit`.
    pub(crate) async fn idle_for(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let until = if self.is_busy() { now + limit } else { self.idle_since() + limit };
            if until <= now {
                return;
            }
            sleep_until(until).await;
        }
    }

    fn idle_since(&self) -> Instant {
        self.began + Duration::from_millis(self.idle_since_ms.load(Ordering::Relaxed))
    }

    fn note_idle(&self) {
        let passed = self.began.elapsed().as_millis();
        self.idle_since_ms.store(u64::try_from(passed).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns the order in which idle connections are closed. None for one that is busy or closing.
    fn idleness(&self) -> Option<(bool, u64)> {
        let is_idle = !self.is_busy() && !self.closing.is_cancelled();
        let is_silent = || !self.has_asked() && self.opened.elapsed() >= FIRST_REQUEST_WITHIN;
        is_idle.then(|| (!is_silent(), self.idle_since_ms.load(Ordering::Relaxed)))
    }
}

impl Clone for UnderWay {
    fn clone(&self) -> UnderWay {
        self.0.begin()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.note_idle();
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.slots.lock();
        open.connections.remove(&self.number);
        if let Some(count) = open.by_peer.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
#[path = "../tests/unit/slots.rs"]
mod tests;
