//! The REST API beside the calls: functions, accounts, markets, providers, keys, quotes, records and logs.

pub(crate) mod accounts;
pub(crate) mod clock;
mod definition;
mod definition_change;
mod function_rows;
pub(crate) mod functions;
pub(crate) mod invocations;
pub(crate) mod keys;
pub(crate) mod leases;
pub(crate) mod logs;
pub(crate) mod market_terms;
pub(crate) mod markets;
mod past_query;
pub(crate) mod providers;
mod rows;
pub(crate) mod statements;
pub(crate) mod stream;
pub(crate) mod tape;
