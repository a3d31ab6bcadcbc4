//! The rules of the market by example, one statement a test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod accounts;
mod adapters;
mod attempts;
mod brokers;
mod budgets;
mod canaries;
mod capacity;
mod claims;
mod deferred;
mod forgotten;
mod health;
mod keys;
mod leases;
mod markets;
mod money;
mod offers;
mod predictions;
mod prices;
mod providers;
mod public;
mod quotas;
mod sessions;
mod shares;
mod sweeps;
mod targets;
mod visibility;
mod wakes;
mod warming;
