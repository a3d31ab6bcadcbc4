//! How a call that shares its connection with others ended before its answer: what a server of HTTP/2 says it did not process.
//!
//! Source: RFC 9113, sections 6.8 (GOAWAY) and 8.7 (request reliability). What it says once an answer has begun is not
//! believed: its reader takes that for broken off.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use h2::Reason;
use http::Version;
use http::uri::Authority;

use crate::quota::shares::{Full, Share, Shares};

/// Calls at once at one server of HTTP/2, all of which share a connection: as many streams as every server should allow
/// (RFC 9113, section 6.5.2). More would wait, unseen, for one to end.
const CALLS_MAX: usize = 100;
/// Servers that are known; what is not known is not counted.
const SERVERS_MAX: usize = 10_000;

/// The servers that chose HTTP/2, and the calls under way at each. Clones share them.
#[derive(Clone)]
pub(super) struct SharedConnections {
    calls: Shares<Authority>,
    servers: Arc<Mutex<HashSet<Authority>>>,
}

/// A call's place on a connection, until it is dropped.
pub(super) type Place = Share<Authority>;

impl Default for SharedConnections {
    fn default() -> SharedConnections {
        SharedConnections { calls: Shares::new(CALLS_MAX, usize::MAX), servers: Arc::default() }
    }
}

impl SharedConnections {
    /// A place for one more call; none needed at a server that has not chosen HTTP/2.
    pub(super) fn begin(&self, server: &Authority) -> Result<Option<Place>, Full> {
        let is_shared = self.servers.lock().unwrap_or_else(PoisonError::into_inner).contains(server);
        is_shared.then(|| self.calls.take(server.clone(), 1)).transpose()
    }

    /// By what a server answered.
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

/// Why nothing of a request was processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unprocessed {
    /// This stream alone: the server has no room, or does not want it.
    Refused,
    /// The connection ends, and this stream is above the last that the server will process.
    GoesAway,
}

/// What the server said about a request that failed; none: it may have run.
pub(super) fn unprocessed(error: &(dyn Error + 'static)) -> Option<Unprocessed> {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    // Given back by the client, which had not begun to send it when its connection ended.
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
mod tests {
    use super::*;

    #[test]
    fn calls_over_one_connection_have_a_bound_and_others_have_none() {
        let (shared, server) = (SharedConnections::default(), Authority::from_static("functions.example:443"));
        assert!(shared.begin(&server).unwrap().is_none(), "nobody knows");
        shared.learn(&server, Version::HTTP_2);
        let mut places: Vec<_> = (0..CALLS_MAX).map(|_| shared.begin(&server).unwrap().unwrap()).collect();
        assert!(shared.begin(&server).is_err());
        assert!(shared.begin(&Authority::from_static("elsewhere.example:443")).unwrap().is_none());
        places.pop();
        assert!(shared.begin(&server).unwrap().is_some(), "a place that is given back is free");
        shared.learn(&server, Version::HTTP_11);
        assert!(shared.begin(&server).unwrap().is_none(), "it changed its mind");
    }
}
