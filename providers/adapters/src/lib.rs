//! How to shape the request to a provider, and how to read what it answers.
//!
//! One module for each kind of provider, each with a `request` and an `answer`; only the Merit agent so far. Pure
//! functions over `http` types. Never does IO, reads no clock, decides no retry and computes no cost.

pub mod agent;
mod answer;
mod report;

pub use answer::Answer;
pub use report::{LOG_MAX_BYTES, MESSAGE_MAX_BYTES, Reading, Report};
