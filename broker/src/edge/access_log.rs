//! The access log: one structured line for a share of the requests, and for every one that failed on this side.
//!
//! Never says a query, a header or a payload: they may be secrets. What writes the lines is bounded and never blocks; it
//! is the command's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::response::Response;
use http::Method;

use crate::caller::Caller;

/// The target of its lines, by which a log filter picks them.
pub(crate) const TARGET: &str = "merit::access";

/// Which requests are logged.
#[derive(Debug)]
pub(crate) struct AccessLog {
    /// One in so many; 0: none.
    one_in: u64,
    seen: AtomicU64,
}

/// A request that may be logged once it is answered.
pub(crate) struct Entry {
    method: Method,
    path: String,
    peer: Option<std::net::SocketAddr>,
    began: Instant,
    is_sampled: bool,
}

impl AccessLog {
    /// Logs this share of the requests, from 0 to 1.
    pub(crate) fn new(share: f64) -> AccessLog {
        let one_in = if share > 0.0 { (1.0 / share).round() as u64 } else { 0 };
        AccessLog { one_in, seen: AtomicU64::new(0) }
    }

    /// Notes a request; none: nothing is logged at all.
    pub(crate) fn note(&self, request: &axum::extract::Request) -> Option<Entry> {
        if self.one_in == 0 {
            return None;
        }
        let is_sampled = self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.one_in);
        Some(Entry {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            peer: request.extensions().get().copied(),
            began: Instant::now(),
            is_sampled,
        })
    }
}

impl Entry {
    /// Logs it, if it is sampled or failed on this side.
    pub(crate) fn answered(self, caller: Option<&Caller>, response: &Response) {
        let status = response.status();
        if !self.is_sampled && !status.is_server_error() {
            return;
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        tracing::info!(
            target: TARGET,
            method = %self.method,
            path = self.path,
            status = status.as_u16(),
            took_us = self.began.elapsed().as_micros() as u64,
            peer = self.peer.map(tracing::field::display),
            account = caller.map(|caller| &*caller.account),
            invocation = header("merit-invocation-id"),
            provider = header("merit-provider"),
            cost = header("merit-cost"),
            "request"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_share() {
        let sampled = |share| {
            let log = AccessLog::new(share);
            let request = axum::extract::Request::new(axum::body::Body::empty());
            (0..1000).filter(|_| log.note(&request).is_some_and(|entry| entry.is_sampled)).count()
        };
        assert_eq!([0.0, 0.01, 0.5, 1.0].map(sampled), [0, 10, 500, 1000]);
    }
}
