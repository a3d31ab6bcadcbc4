//! Providers as the broker calls them: one attempt at one provider, and what became of it.
//!
//! Decides about no retry and knows no cost. Connects only to addresses that the policy allows.

pub mod addresses;
pub(crate) mod answer;
pub(crate) mod attempt;
pub(crate) mod call;
mod delivery;
pub(crate) mod end;
mod http2;
mod keep_alive;
pub(crate) mod payload;
mod time_limit;
mod tls;
