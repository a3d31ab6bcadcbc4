//! How a call that shares its connection with others ended before its answer: what a server of HTTP/2 says it did not process.
//!
//! Source: RFC 9113, sections 6.8 (GOAWAY) and 8.7 (request reliability). What it says once an answer has begun is not
//! believed: its reader takes that for broken off.

use std::error::Error;

use h2::Reason;

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
    let said = causes.find_map(|cause| cause.downcast_ref::<h2::Error>()).filter(|error| error.is_remote())?;
    if said.is_go_away() {
        return Some(Unprocessed::GoesAway);
    }
    (said.is_reset() && said.reason() == Some(Reason::REFUSED_STREAM)).then_some(Unprocessed::Refused)
}
