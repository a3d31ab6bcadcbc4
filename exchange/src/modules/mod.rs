//! WebAssembly modules: checked, kept by their digest, and remembered with the account that put them and with what
//! providers say of them.

mod readiness;
mod store;
mod upload_threads;
mod uploads;

pub(crate) use readiness::{ModuleReport, Readiness};
pub use store::ModuleError;
pub(crate) use store::ModuleStore;
pub(crate) use upload_threads::UploadThreads;
pub(crate) use uploads::Uploads;
