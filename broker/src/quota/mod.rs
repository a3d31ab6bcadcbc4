//! Quotas on everything that callers share: invocations and streams at once, bytes of bodies, calls a second.
//!
//! A quota refuses and never waits. Knows holders by account or address, and never who they are.

pub(crate) mod admission;
pub(crate) mod bodies;
pub(crate) mod rates;
