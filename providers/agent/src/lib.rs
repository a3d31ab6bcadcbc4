//! A provider's program, as a library: it sells a pool to an exchange and runs the calls that come.
//!
//! Owns: the session with the exchange (a pure [machine](session) and a shell around it), the quoting strategies, and
//! the invocation server, which checks a lease's token, fetches the module and runs it on a WebAssembly host.
//!
//! Never: knows brokers, accounts or costs, keeps anything on disk, or takes an invocation without a lease's token.
//! Invocations come over plain HTTP; beyond loopback a proxy in front of the agent must speak TLS.

mod cgi;
mod delivery;
mod invocations;
mod provider;
mod refused;
mod revisions;
mod server;
mod session;
mod settings;
mod strategy;
mod token;

pub use provider::{Provider, SessionEnd, StartError, StopError};
pub use session::{RefusedLadder, SessionError, Standing};
pub use settings::{ProviderSettings, SettingsError};
pub use strategy::Strategy;
