//! Keys: the master key with its derived secrets, and the news of changed keys.

mod changes;
mod master;

pub(crate) use changes::KeyChanges;
pub use master::{KeyError, MasterKey, MasterKeyError};
