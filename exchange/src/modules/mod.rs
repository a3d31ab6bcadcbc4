//! WebAssembly modules: checked, kept by their digest, and remembered with the account that put them.

mod store;
mod uploads;

pub use store::ModuleError;
pub(crate) use store::ModuleStore;
pub(crate) use uploads::Uploads;
