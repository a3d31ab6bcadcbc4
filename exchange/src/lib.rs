//! The exchange: the engine behind its journal, its projections, and the gRPC services on top.
//!
//! Never imports the broker or an agent, never forwards an invocation, never reads a payload. Decisions are the
//! engine's; here they are ordered, made durable, published and answered.
//!
//! Imports go down:
//!
//! ```text
//! open                          a directory becomes a running exchange
//! serve                         the listener, TLS, drain
//! services                      one file a gRPC service
//! access                        callers and the methods that admit them
//! exchange, projections         the running parts
//! restore, archive, history     from files: a start, rows by time, past states
//! books, sessions, keys         followers of the durable events; master key
//! snapshot                      the whole state in a file
//! replay, sequencer             commands applied again; commands applied now
//! codec, messages               commands as records; values as messages
//! modules, quota, spots, error_chain, clock
//! ```

mod access;
mod archive;
mod books;
mod clock;
mod codec;
mod directory_watch;
mod disk_space;
mod error_chain;
mod exchange;
pub mod history;
mod keys;
mod messages;
mod modules;
mod open;
mod projections;
mod quota;
mod replay;
mod restore;
mod run_file;
mod sequencer;
mod serve;
mod services;
mod sessions;
pub mod snapshot;
mod spots;

#[cfg(test)]
#[path = "../tests/unit/recorded.rs"]
mod recorded;
#[cfg(test)]
#[path = "../tests/unit/world.rs"]
mod world;

pub use clock::{Clock, ClockReport};
pub use codec::{CodecError, decode};
pub use disk_space::{DiskReport, Growth};
pub use exchange::{Durability, Exchange, Settings};
pub use history::{Replayed, replay};
pub use keys::{KeyError, MasterKey, MasterKeyError};
pub use modules::ModuleError;
pub use open::OpenError;
pub use replay::ReplayError;
pub use replay::rules::UnknownRules;
pub use restore::{RestoreError, Restored, restore};
pub use sequencer::{
    CallLog, Collected, Durable, Encoded, Happened, Intake, Progress, Projection, Sequencer, SubmitError, Submitted,
};
pub use serve::ServeError;
