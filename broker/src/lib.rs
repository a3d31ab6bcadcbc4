//! The broker: front doors, dispatch and failover, metering, metrics and the page.
//!
//! Never imports the exchange and knows no prices: it authenticates, asks for a lease, dispatches, settles, and on a
//! failure asks again with that provider left out.

pub mod addresses;
mod brokerage;
mod dispatch;
mod doors;
mod error;
mod exchange;
mod guard;
mod invoke;
mod json;
mod metrics;
mod page;
mod preferences;
mod serve;
mod upstream;

pub use json::{Decimal, decimal};
pub use page::Page;
pub use serve::{Broker, Settings, StartError};

/// The largest payload that the native door takes, and the largest answer: 6 MB, as Lambda's.
pub const PAYLOAD_MAX_BYTES: usize = 6 << 20;
