//! The rules for WebAssembly modules, which the exchange checks at upload and every host follows.
//!
//! Owns the language, the limits, and the functions of WASI preview 1 with their types. Never compiles or runs one.

mod check;
mod preview_1;

pub use check::{ModuleFault, check, code_bytes};
pub use preview_1::IMPORTS;

/// Size limit of a module in bytes, 32 MiB.
pub const MODULE_MAX_BYTES: usize = 32 << 20;
/// Maximum tables of a module.
pub const TABLES_MAX: u32 = 4;
/// Maximum elements that a table of a module begins with, and that it can grow to.
pub const TABLE_ELEMENTS_MAX: u32 = 100_000;
/// Maximum functions of a module, imported ones included.
pub const FUNCTIONS_MAX: u32 = 100_000;
/// Maximum global variables of a module.
pub const GLOBALS_MAX: u32 = 100_000;
/// Maximum bytes that a host needs for an instance beside its memory and tables: 32 for each function, 16 for each
/// global variable, and less than 1 MiB for the rest.
pub const INSTANCE_MAX_BYTES: usize = FUNCTIONS_MAX as usize * 32 + GLOBALS_MAX as usize * 16 + (1 << 20);
