//! The rules of the market by example, one statement a test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod capacity;
mod floor;
mod leases;
mod money;
mod prices;
mod sessions;
