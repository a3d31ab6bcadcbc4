//! The edge: connections, their framing and their slow readers, and the front that stands before the router.
//!
//! Owns the cost of a client that has not said anything yet. Never reads a body.

pub(crate) mod access_log;
pub(crate) mod connection;
mod early_answers;
pub(crate) mod framing;
pub(crate) mod front;
mod slow_readers;
