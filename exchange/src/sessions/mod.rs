//! Sessions of providers and brokers: one stream each, and the messages that wait for it.

pub(crate) mod brokers;
pub(crate) mod providers;
