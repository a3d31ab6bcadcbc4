//! WebAssembly modules: checked, kept by their digest, and remembered with the account that put them.

mod check;
mod store;
mod uploads;

pub use check::{MODULE_MAX_BYTES, ModuleError, check};
pub(crate) use store::ModuleStore;
pub(crate) use uploads::Uploads;
