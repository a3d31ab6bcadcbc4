//! Tests of the provider's program against an exchange over real sockets and with real modules.
//!
//! The exchange here is a peer that a test directs; the real one is in the tests of the whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod invocations;
mod kit;
mod peer;
mod readiness;
mod session;
mod strategy;
