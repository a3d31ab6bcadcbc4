//! A seeded world on a virtual clock, the benches, and the load generator.
//!
//! Uses the market as its users do: through the engine's commands, the protocol, and HTTP. Never part of a server.

pub mod engine_bench;
pub mod fairness;
pub mod faults;
pub mod invoke_bench;
pub mod journal_bench;
pub mod load;
pub mod plain_book_bench;
pub mod tenants_bench;
pub mod world;
