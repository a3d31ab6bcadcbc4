//! How to shape the request to a provider, and how to read what it answers.
//!
//! One module for each kind of provider, each with a `request` and an `answer`: the Merit [`agent`], and any function
//! server over [`http`]. Pure functions over `http` types. Never does IO, reads no clock, decides no retry and computes
//! no cost.

pub mod agent;
mod answer;
mod headers;
pub mod http;
mod passed;
mod report;

pub use answer::{Answer, RequestError};
pub use headers::{forwarded_answer_headers, forwarded_request_headers, is_merit_s};
pub use passed::Passed;
pub use report::{LOG_MAX_BYTES, MESSAGE_MAX_BYTES, Reading, Report};
