//! The front doors: each translates a protocol to the one internal call, or to a question to the exchange, and back.
//!
//! Nothing behind a door knows it. Never sees protobuf.

pub(crate) mod answer;
pub(crate) mod api;
pub(crate) mod call;
mod cloud_events;
pub(crate) mod error_shape;
mod headers;
pub(crate) mod lambda;
pub(crate) mod names;
pub(crate) mod native;
pub(crate) mod openfaas;
pub(crate) mod request;
