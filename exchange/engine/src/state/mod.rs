//! The state as a whole: saved and loaded, summed up in a digest, and read.

mod canonical;
mod digest;
mod saved;
pub(crate) mod views;
