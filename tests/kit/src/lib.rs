//! Markets for tests: constructors with defaults, a small market to write examples in, and a world of random commands.
//!
//! A dev-dependency only. It never judges an answer of the engine: that is the tests' business.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::new_without_default, reason = "no test asks for a default market")]

mod commands;
mod floor;
pub mod random;
mod terms;
mod traffic;

pub use commands::{bid, code, logon, put_function, register, settings, settle};
pub use floor::{Floor, Seller};
pub use terms::{
    CALLS_PER_GB_SECOND, MEMORY_MB, PRICE, TIMEOUT_MS, max_cost, max_price, money, name, numbered, only, pool, ran,
    rung, tariff,
};
pub use traffic::Traffic;
