//! Definitions of the market: markets, providers, functions with their revisions and aliases, and keys.
//!
//! Owns names, definitions and the counters of each record. Never matches, and moves no money.

mod canaries;
mod checks;
pub(crate) mod classes;
pub(crate) mod functions;
pub(crate) mod keys;
pub(crate) mod markets;
pub(crate) mod providers;
pub(crate) mod registry;
pub(crate) mod revisions;
pub(crate) mod visibility;

pub(crate) use checks::{
    check_budgets, check_reason, invalid, unknown_function, unknown_provider, within, within_limit,
};
