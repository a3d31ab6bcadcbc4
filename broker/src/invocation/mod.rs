//! The one internal call behind every door.

pub(crate) mod dispatch;
pub(crate) mod preferences;
pub(crate) mod run;
mod settle;
mod stream;
