//! The exchange: the engine behind its journal, its projections, and the gRPC services on top.
//!
//! Never imports the broker or an agent, never forwards an invocation, never reads a payload. Decisions are the
//! engine's; here they are ordered, made durable, published and answered.

mod access;
mod archive;
mod books;
mod brokers;
mod clock;
mod codec;
pub mod history;
mod identity;
mod incoming;
mod intake;
mod key_changes;
mod keys;
mod modules;
mod open;
#[cfg(test)]
mod recorded;
mod replay;
mod restore;
mod rules;
mod sequencer;
mod serve;
mod services;
mod sessions;
pub mod snapshot;
mod uploads;
#[cfg(test)]
mod world;

pub use codec::{CodecError, decode};
pub use history::{Replayed, replay};
pub use intake::{Collected, Encoded, Happened, Intake};
pub use keys::{KeyError, MasterKey, MasterKeyError};
pub use modules::{MODULE_MAX_BYTES, ModuleError};
pub use open::{Durability, Exchange, OpenError, Settings};
pub use replay::ReplayError;
pub use restore::{RestoreError, Restored, restore};
pub use rules::UnknownRules;
pub use sequencer::{Durable, Progress, Projection, Sequencer, SubmitError, Submitted};
pub use serve::ServeError;
