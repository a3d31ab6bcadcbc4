//! Tests of the adapters: requests and answers as they stand on the wire.

mod agent;
mod headers;
mod http;
mod report;
