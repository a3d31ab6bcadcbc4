//! The exchange as the broker speaks with it. Protobuf ends on this floor: everything above sees the types of `terms`
//! and the plain structs here.
//!
//! Never decides about an invocation, and knows no HTTP but the errors that a caller reads.

pub(crate) mod accounts;
pub(crate) mod clients;
pub(crate) mod functions;
pub(crate) mod invocations;
pub(crate) mod keys;
pub(crate) mod leases;
pub(crate) mod logs;
pub(crate) mod markets;
mod nearest;
pub(crate) mod operator;
pub(crate) mod past;
pub(crate) mod providers;
pub(crate) mod statements;
pub(crate) mod stream;
mod turns;
