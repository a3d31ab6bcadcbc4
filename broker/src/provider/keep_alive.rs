//! The time for which a server says that it keeps an unused connection open: `Keep-Alive: timeout=5` (RFC 2068,
//! section 19.7.1.1; Node.js sends it by default). Such a connection is not used again shortly before that, since the
//! server may close it just as a request comes.
//!
//! The pool of connections has one time for all. Closes nothing itself: the pool drops a connection that is not used
//! again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use hyper_util::client::legacy::connect::{CaptureConnection, HttpInfo};
use tokio::time::{Instant, sleep_until};

/// Safety margin before the announced timeout.
const MARGIN: Duration = Duration::from_secs(1);

/// Deadlines for the reuse of connections whose announced timeout is shorter than the pool's; a task waits for each.
#[derive(Clone, Default)]
pub(super) struct KeepAlives(Arc<Mutex<HashMap<Endpoints, (Instant, CaptureConnection)>>>);

/// Local and remote address of a connection.
type Endpoints = (SocketAddr, SocketAddr);

impl KeepAlives {
    /// Notes the keep-alive of an answer. Ignores one that outlasts the pool's own `pool_idle`.
    pub(super) fn note(
        &self,
        response: &http::Response<impl Sized>,
        connection: &CaptureConnection,
        pool_idle: Duration,
    ) {
        let Some(kept_for) = announced_timeout(response.headers()).filter(|kept_for| *kept_for < pool_idle + MARGIN)
        else {
            return;
        };
        let usable_for = kept_for.saturating_sub(MARGIN);
        let Some(info) = response.extensions().get::<HttpInfo>().filter(|_| usable_for > Duration::ZERO) else {
            return stop_reuse(connection);
        };
        let of = (info.local_addr(), info.remote_addr());
        let is_new = self.lock().insert(of, (Instant::now() + usable_for, connection.clone())).is_none();
        if is_new {
            let deadlines = self.clone();
            // Ends once the connection was idle until its deadline.
            tokio::spawn(async move {
                while let Some(at) = deadlines.next(&of) {
                    sleep_until(at).await;
                }
            });
        }
    }

    /// Returns a connection's deadline. One that has passed is not used again, and forgotten.
    fn next(&self, of: &Endpoints) -> Option<Instant> {
        let mut deadlines = self.lock();
        let (deadline, connection) = deadlines.get(of)?;
        if *deadline > Instant::now() {
            return Some(*deadline);
        }
        stop_reuse(connection);
        deadlines.remove(of);
        None
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Endpoints, (Instant, CaptureConnection)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Excludes a connection from reuse.
fn stop_reuse(connection: &CaptureConnection) {
    if let Some(connected) = connection.connection_metadata().as_ref() {
        connected.poison();
    }
}

/// Reads the announced timeout.
fn announced_timeout(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("keep-alive").into_iter().filter_map(|value| value.to_str().ok());
    let mut parameters = values.flat_map(|value| value.split(',')).filter_map(|parameter| parameter.split_once('='));
    let (_, seconds) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
    seconds.trim().trim_matches('"').parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
#[path = "../../tests/unit/provider/keep_alive.rs"]
mod tests;
