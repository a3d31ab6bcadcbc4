//! Demand: deferred bids that rest, the sweeps that examine them, and the brokers that they belong to.
//!
//! Owns the bid side of the books. Supply, time or limits that may serve bids *wake* a side, which begins a sweep over
//! its bids, best limit first, then oldest. Each command goes on with the sweeps and matches at most one bid, whose
//! lease has its sequence. Never ranks offers.

mod broker_sessions;
pub(crate) mod brokers;
mod deferred;
pub(crate) mod resting;
mod sweeps;
mod wakes;
