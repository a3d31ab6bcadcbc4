//! The WebAssembly host of a provider: runs WASI preview 1 commands, metered and bounded.
//!
//! Owns: the engine and its epoch ticker ([`Runtime`]), compilation in child processes ([`compile_child`]), compiled
//! modules by digest ([`Modules`]), fixed pools of plain threads with a CPU share ([`Host`]), and the request and
//! result of one call ([`Job`], [`GuestRun`]).
//!
//! Never: queues (all threads taken is [`Busy`]), runs a guest on the caller's async runtime, knows of leases, tariffs
//! or the network, or gives a guest a directory, a socket or the process's own stdio.
//!
//! A call: [`Host::admit`] takes a thread or says busy, [`Modules::get`] or [`Modules::load`] finds the code,
//! [`Seat::run`] runs it.

mod artefacts;
mod capture;
mod compile;
mod compiler;
mod compiler_slots;
mod cpu_share;
mod digest;
mod execution;
mod guest;
mod host;
mod job;
mod linker;
mod module_error;
mod modules;
mod progress;
mod run;
mod runtime;
mod settings;
mod ticker;
mod turns;

pub use artefacts::make_private;
pub use compile::{CompileFailure, CompileLimits, MODULE_FAILED, compile_child};
pub use compiler::CompilerReservation;
pub use digest::{Digest, digest};
pub use execution::{GuestOutcome, GuestRun, GuestUsage, HostFailure};
pub use host::{Busy, Host, HostError, HostSettings, Seat};
pub use job::Job;
pub use module_error::ModuleError;
pub use modules::{Module, Modules};
pub use runtime::{Runtime, RuntimeError, RuntimeSettings};
pub use settings::ModuleSettings;
