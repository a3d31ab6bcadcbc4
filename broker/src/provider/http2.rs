//! HTTP/2 at providers: the streams of a shared connection, and the requests that a server says it did not process.
//!
//! Source: RFC 9113, sections 6.8 (GOAWAY) and 8.7 (request reliability). Counts only before an answer has begun:
//! later, the answer is broken off.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use h2::Reason;
use http::Version;
use http::uri::Authority;

use merit_listener::{Full, Share, Shares};

/// Streams at once at one server, which share a connection: as many as every server should allow (RFC 9113, section
/// 6.5.2). More would wait, unseen, for one to end.
const STREAMS_MAX: usize = 100;
/// Servers in the list; streams at others are not counted.
const SERVERS_MAX: usize = 10_000;

/// The servers that chose HTTP/2, and the streams under way at each. Clones share them.
#[derive(Clone)]
pub(super) struct SharedConnections {
    calls: Shares<Authority>,
    servers: Arc<Mutex<HashSet<Authority>>>,
}

/// A stream on a shared connection, until it is dropped.
pub(super) type StreamShare = Share<Authority>;

impl Default for SharedConnections {
    fn default() -> SharedConnections {
        SharedConnections { calls: Shares::new(STREAMS_MAX, usize::MAX), servers: Arc::default() }
    }
}

impl SharedConnections {
    /// Takes a stream at the server; none is needed at a server of HTTP/1.
    pub(super) fn begin(&self, server: &Authority) -> Result<Option<StreamShare>, Full> {
        let is_shared = self.servers.lock().unwrap_or_else(PoisonError::into_inner).contains(server);
        is_shared.then(|| self.calls.take(server.clone(), 1)).transpose()
    }

    /// Notes the version by which a server answered.
    pub(super) fn learn(&self, server: &Authority, version: Version) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        match version {
            Version::HTTP_2 if servers.len() < SERVERS_MAX && !servers.contains(server) => {
                servers.insert(server.clone());
            }
            Version::HTTP_2 => {}
            _ => drop(servers.remove(server)),
        }
    }
}

/// The reason for which a server processed nothing of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unprocessed {
    /// The server refused this stream alone.
    Refused,
    /// The connection ends (GOAWAY), and this stream is above the last that the server processes.
    GoesAway,
}

/// Returns the reason for which a failed request was not processed; none if it may have run.
pub(super) fn unprocessed(error: &(dyn Error + 'static)) -> Option<Unprocessed> {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    // The client had not begun to send the request when its connection ended.
    if causes.clone().filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_canceled) {
        return Some(Unprocessed::GoesAway);
    }
    let said = causes.find_map(|cause| cause.downcast_ref::<h2::Error>()).filter(|error| error.is_remote())?;
    if said.is_go_away() {
        return Some(Unprocessed::GoesAway);
    }
    (said.is_reset() && said.reason() == Some(Reason::REFUSED_STREAM)).then_some(Unprocessed::Refused)
}

#[cfg(test)]
#[path = "../../tests/unit/provider/http2.rs"]
mod tests;
