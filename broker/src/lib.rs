//! The broker: front doors, dispatch and failover, metering, metrics and the page.
//!
//! Never imports the exchange's crate and knows no prices: it authenticates, asks for a lease, dispatches, settles, and
//! on a failure asks again with that provider left out.
//!
//! Floors, outside in. Arrows go down only, between floors and between files but a module and its children:
//!
//! ```text
//! server         -> edge, routes, and every part that it builds
//! edge           -> doors (shapes of errors), broker, caller, invocation, metrics
//! routes         -> openapi, doors, broker
//! openapi        -> doors (shapes of errors), broker
//! doors          -> broker, invocation, caller, provider, quota, exchange
//! broker         -> invocation, caller, quota, exchange, metrics, page
//! invocation     -> provider, quota, exchange, metrics
//! caller         -> quota, exchange
//! provider       -> quota, exchange
//! quota          -> exchange, metrics
//! exchange       -> error
//! metrics, json  -> door, error
//! door, error, limits, page: the ground
//! ```

mod broker;
mod caller;
mod door_names;
mod doors;
mod edge;
mod error;
mod exchange;
#[doc(hidden)]
pub mod fuzzing;
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
