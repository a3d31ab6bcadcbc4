//! Calls of providers.

pub mod addresses;
mod answer;
pub(crate) mod attempt;
mod http2;
pub(crate) mod payload;
mod tls;
