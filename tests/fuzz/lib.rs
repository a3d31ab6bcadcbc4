//! Bodies of the fuzz targets: functions that take any bytes, come back, and panic where a promise is broken.
//!
//! Owns one function a subject and the promises that it checks. It never chooses its input: `make fuzz` does, by
//! libFuzzer (`fuzz/`), and so does the short run of `make test` (`short_run.rs`), from the seeds in `fuzz/seeds` and
//! mutations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a fuzz target fails by panicking")]

mod heads;
mod journal;
mod modules;
mod protocol;
mod signatures;

pub use heads::heads;
pub use journal::{journal, written_segment};
pub use modules::modules;
pub use protocol::protocol;
pub use signatures::signatures;

/// A target's name and body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by the names of their folders in `fuzz/seeds`.
pub const TARGETS: [Target; 5] =
    [("heads", heads), ("journal", journal), ("modules", modules), ("protocol", protocol), ("signatures", signatures)];
