//! Tests of the adapters: requests and answers as they stand on the wire.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod agent;
mod headers;
mod http;
mod report;
