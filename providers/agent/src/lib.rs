//! A provider's program, as a library: it sells a pool to an exchange and runs the calls that come.
//!
//! Owns: the session with the exchange (a pure [machine](session) and a shell around it), the quoting strategies, and
//! the invocation server, which checks a lease's token, fetches the module and runs it on a WebAssembly host.
//!
//! Never: knows brokers, accounts or costs, keeps anything on disk, or takes an invocation without a lease's token.
//! Invocations come over plain HTTP; beyond loopback a proxy in front of the agent must speak TLS.

#![cfg_attr(not(feature = "wasm"), allow(dead_code, unused_imports, reason = "some of a session is for calls alone"))]

#[cfg(feature = "wasm")]
mod agent;
#[cfg_attr(not(feature = "wasm"), path = "no_call_server.rs")]
mod call_server;
#[cfg(feature = "wasm")]
mod cgi;
mod controls;
#[cfg(feature = "wasm")]
mod delivery;
#[cfg(feature = "wasm")]
mod invocations;
mod provider;
#[cfg(feature = "wasm")]
mod refused;
#[cfg(feature = "wasm")]
mod revisions;
#[cfg(feature = "wasm")]
mod server;
mod session;
mod settings;
mod strategy;
#[cfg(feature = "wasm")]
mod token;

pub use controls::{ControlError, Controls, LockedControls};
pub use provider::{Provider, SessionEnd, StartError, StopError};
pub use session::{RefusedLadder, SessionError, Standing};
pub use settings::{ProviderSettings, SettingsError};
pub use strategy::Strategy;
