//! Snapshots: the engine's whole state at a sequence, so that a start need not replay the journal from its beginning.
//!
//! Owns the format, the order of writes, the retention, and the schedule. A snapshot is made beside the market, not in
//! it: a second engine goes on from the last snapshot, replays the durable commands after it, and is written. The
//! market waits for none of it, and a failure here costs nothing but a longer replay. A snapshot never covers the
//! journal's last batch, which may yet be cut as the end of an interrupted write.
//!
//! ```text
//! write   one file, durable before it has its name       -> Header
//! load    every byte and the digest checked              -> Loaded
//! make    the last snapshot and a replay since           -> Header
//! keep    removes snapshots and segments nobody needs
//! ```
//!
//! One promise: a changed byte anywhere in a snapshot is found and named by its position, and such a snapshot is never
//! used.

mod format;
mod make;
mod read;
mod retention;
mod thread;
mod write;

#[cfg(test)]
#[path = "../../tests/unit/snapshot/mod.rs"]
mod tests;

pub use format::Header;
pub use make::{MakeError, Newest, make, newest, set_aside, set_aside_after};
pub use read::{Damage, Fault, LoadError, Loaded, header, list, load};
pub use retention::{KeepError, keep};
pub use thread::{Made, Maker};
pub use write::{WriteError, write};
