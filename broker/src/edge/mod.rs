//! The edge of the broker: connections, and what stands before the router.

pub(crate) mod access_log;
pub(crate) mod connection;
mod early_answers;
mod framing;
mod slow_readers;
