//! The broker: front doors, dispatch and failover, metering, metrics and the page.
//!
//! Never imports the exchange and knows no prices: it authenticates, asks for a lease, dispatches, settles, and on a
//! failure asks again with that provider left out.

mod caller;
mod doors;
mod edge;
mod error;
mod exchange;
mod invocation;
mod json;
mod metrics;
mod openapi;
mod page;
mod provider;
mod quota;
mod routes;
mod server;

pub use json::{Decimal, decimal};
pub use page::Page;
pub use provider::addresses;
pub use server::{Access, Broker, Settings, StartError};

/// The largest payload that the native door takes, and the largest answer: 6 MB, as Lambda's.
pub const PAYLOAD_MAX_BYTES: usize = 6 << 20;
/// The largest payload of a call that is passed through, and the largest answer that streams: 20 MB, as Lambda's.
pub const STREAMED_MAX_BYTES: usize = 20 << 20;
/// What is buffered of a payload or an answer; what is larger streams.
pub const BUFFERED_MAX_BYTES: usize = 256 << 10;
/// The largest module that is taken.
pub(crate) const MODULE_MAX_BYTES: usize = 32 << 20;
