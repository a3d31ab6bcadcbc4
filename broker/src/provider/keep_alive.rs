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

/// Time before the end that a server names, in which its connection is not used again.
const MARGIN: Duration = Duration::from_secs(1);

/// The ends of connections whose servers name one within `pool_idle` and [`MARGIN`]: each has a task that waits for it.
#[derive(Clone, Default)]
pub(super) struct KeepAlives(Arc<Mutex<HashMap<Endpoints, Instant>>>);

/// Both ends of a connection, which tell it from all others that are open.
type Endpoints = (SocketAddr, SocketAddr);

impl KeepAlives {
    /// Notes the answer that came by a connection, of which the pool drops those that were idle for `pool_idle`.
    pub(super) fn note(
        &self,
        response: &http::Response<impl Sized>,
        connection: &CaptureConnection,
        pool_idle: Duration,
    ) {
        let Some(kept_for) = timeout(response.headers()).filter(|kept_for| *kept_for < pool_idle + MARGIN) else {
            return;
        };
        let usable_for = kept_for.saturating_sub(MARGIN);
        let Some(info) = response.extensions().get::<HttpInfo>().filter(|_| usable_for > Duration::ZERO) else {
            return end(connection);
        };
        let of = (info.local_addr(), info.remote_addr());
        let is_new = self.lock().insert(of, Instant::now() + usable_for).is_none();
        if is_new {
            let (ends, connection) = (self.clone(), connection.clone());
            // Ends when the connection was not used for the time that its server names.
            tokio::spawn(async move {
                while let Some(at) = ends.next(&of) {
                    sleep_until(at).await;
                }
                end(&connection);
            });
        }
    }

    /// Returns the end of a connection, if that is still to come. One that is past is forgotten.
    fn next(&self, of: &Endpoints) -> Option<Instant> {
        let mut ends = self.lock();
        let end = ends.get(of).copied().filter(|end| *end > Instant::now());
        if end.is_none() {
            ends.remove(of);
        }
        end
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Endpoints, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a connection from being used again.
fn end(connection: &CaptureConnection) {
    if let Some(connected) = connection.connection_metadata().as_ref() {
        connected.poison();
    }
}

/// Returns the time that a server names.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("keep-alive").into_iter().filter_map(|value| value.to_str().ok());
    let mut parameters = values.flat_map(|value| value.split(',')).filter_map(|parameter| parameter.split_once('='));
    let (_, seconds) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
    seconds.trim().trim_matches('"').parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
#[path = "../../tests/unit/provider/keep_alive.rs"]
mod tests;
