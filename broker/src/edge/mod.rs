//! The edge: the answers of the doors' port, early answers, and the front that stands before the router.
//!
//! The connections are the listener's. Never reads a body.

pub(crate) mod access_log;
mod early_answers;
pub(crate) mod front;
