//! The protocol `merit.v1`: the generated messages, clients and servers, their conversions to `terms`, the transport
//! between them, the token and proof of a lease, and the order to load a module.
//!
//! Never decides anything and holds no state.

mod convert;
mod order;
mod proof;
mod refuse;
mod token;
mod transport;
mod unreachable;
mod wait_log;

/// Messages, clients and servers, generated from the .proto files by `tests/protocol/generated.rs`.
#[allow(clippy::all, clippy::pedantic, clippy::unwrap_used, unreachable_pub, unused_qualifications)]
pub mod v1 {
    include!("generated/merit.v1.rs");
}

pub use convert::{FieldError, required};
pub use order::{check_order, order_warming};
pub use proof::{check_proof, prove, read_proof, write_proof};
pub use refuse::{code_of, read_code, refusal_status};
pub use token::{TokenError, sign, verify};
pub use transport::{BrokerAnswers, BrokerStreams, ConnectError, Connection, InProcess, Network, Transport};
pub use unreachable::TransportError;
pub use wait_log::WaitLog;

/// The compiled description of every service, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("generated/merit.v1.bin");
