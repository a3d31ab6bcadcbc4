//! The exchange: the engine behind its journal, its projections, and the gRPC services on top.
//!
//! Never imports the broker or an agent, never forwards an invocation, never reads a payload. Decisions are the
//! engine's; here they are ordered, made durable, published and answered.

mod books;
mod clock;
mod codec;
mod archive;
pub mod journal;
mod keys;
mod modules;
mod open;
mod sequencer;
mod serve;
mod services;
mod sessions;
pub mod storage;
#[cfg(test)]
mod world;

pub use codec::{CodecError, decode};
pub use modules::{MODULE_MAX_BYTES, ModuleError};
pub use open::{Exchange, OpenError, Replayed, Settings, replay};
pub use sequencer::SubmitError;
pub use serve::ServeError;
