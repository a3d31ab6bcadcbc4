//! The broker: front doors, dispatch and failover, metering, metrics and the page.
//!
//! Never imports the exchange's crate and knows no prices: it authenticates, asks for a lease, dispatches, settles, and
//! on a failure asks again with that provider left out.
//!
//! Floors, outside in; arrows go down only:
//!
//! ```text
//! server -> edge, routes -> openapi -> doors -> broker -> caller, invocation -> provider -> quota -> exchange
//!                                                                                   ground: metrics, door, error,
//!                                                                                           json, limits, page
//! ```

mod broker;
mod caller;
mod door;
mod doors;
mod edge;
mod error;
mod exchange;
mod invocation;
mod json;
mod limits;
mod metrics;
mod openapi;
mod page;
mod provider;
mod quota;
mod routes;
mod server;

pub use page::Page;
pub use provider::addresses;
pub use server::{Access, Server, Settings, StartError};
