//! The access log: one structured line for a share of the requests, and for every one that failed on this side.
//!
//! Never logs a query, a header or a payload, which may be secrets. The writer of the lines belongs to the command; it
//! is bounded and never blocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::response::Response;
use http::Method;

use crate::caller::Caller;

/// Target of the lines, by which a log filter picks them.
pub(crate) const TARGET: &str = "merit::access";

/// The sampling of requests.
#[derive(Debug)]
pub(crate) struct AccessLog {
    /// One request of so many; 0 for none.
    one_in: u64,
    seen: AtomicU64,
}

/// A request that may be logged once it is answered.
pub(crate) struct LogEntry {
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

    /// Notes a request. Returns none if nothing is logged at all.
    pub(crate) fn note(&self, request: &axum::extract::Request) -> Option<LogEntry> {
        if self.one_in == 0 {
            return None;
        }
        let is_sampled = self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.one_in);
        Some(LogEntry {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            peer: request.extensions().get().copied(),
            began: Instant::now(),
            is_sampled,
        })
    }
}

impl LogEntry {
    /// Logs the request if it is sampled or failed on this side.
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
#[path = "../../tests/unit/edge/access_log.rs"]
mod tests;
