//! The WebAssembly host of a provider: runs WASI preview 1 commands, metered and bounded.
//!
//! Owns: the engine and its epoch ticker ([`Runtime`]), compiled modules by digest ([`Modules`]), fixed pools of plain
//! threads with a CPU share ([`Host`]), compilation in child processes ([`compile_child`]), and the request and result of one call ([`Job`], [`GuestRun`]).
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
mod cpu_share;
mod execution;
mod guest;
mod host;
mod job;
mod linker;
mod modules;
mod run;
mod runtime;
mod ticker;
mod turns;

pub use compile::{CompileLimits, compile_child};
pub use execution::{GuestOutcome, GuestRun, GuestUsage, HostFailure};
pub use host::{Busy, Host, HostError, HostSettings, Seat};
pub use job::Job;
pub use modules::{Digest, Module, ModuleError, Modules, digest};
pub use runtime::{ModuleSettings, Runtime, RuntimeError, RuntimeSettings};
