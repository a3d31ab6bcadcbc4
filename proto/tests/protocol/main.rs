//! Tests of the protocol by its public API, and of the committed code of `merit.v1`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod generated;
mod order;
mod proof;
mod token;
