//! The REST API: functions, accounts, markets, providers, keys.

pub(crate) mod accounts;
pub(crate) mod functions;
pub(crate) mod invocations;
pub(crate) mod keys;
pub(crate) mod leases;
pub(crate) mod market_terms;
pub(crate) mod markets;
pub(crate) mod providers;
mod span;
pub(crate) mod statements;
pub(crate) mod stream;
pub(crate) mod tape;
